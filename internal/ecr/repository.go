package ecr

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// Repository is an ECR repository.
type Repository struct {
	Name      string
	ARN       string
	URI       string // host/name, as images are called
	Immutable bool   // no tag can be pushed twice
	Created   time.Time
}

// Repository describes a repository. If there is none, the error is
// ErrRepositoryNotFound.
func (c *Client) Repository(ctx context.Context, name string) (r Repository, err error) {
	defer wrap(&err, "repository %s", name)
	out, err := call(ctx, c, "DescribeRepositories", c.api.DescribeRepositories, &sdk.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if err != nil {
		return Repository{}, err
	}
	if len(out.Repositories) != 1 {
		return Repository{}, ErrRepositoryNotFound
	}
	return repository(out.Repositories[0]), nil
}

// EnsureRepository returns a repository, which it creates with immutable tags
// if there is none. One that exists is left as it is.
func (c *Client) EnsureRepository(ctx context.Context, name string) (r Repository, created bool, err error) {
	r, err = c.Repository(ctx, name)
	if err == nil || !errors.Is(err, ErrRepositoryNotFound) {
		return r, false, err
	}
	out, err := call(ctx, c, "CreateRepository", c.api.CreateRepository, &sdk.CreateRepositoryInput{
		RepositoryName: aws.String(name), ImageTagMutability: types.ImageTagMutabilityImmutable,
	})
	if errors.Is(err, errRepositoryExists) {
		// Another worker was faster.
		r, err = c.Repository(ctx, name)
		return r, false, err
	}
	if err != nil {
		wrap(&err, "repository %s", name)
		return Repository{}, false, err
	}
	return repository(*out.Repository), true, nil
}

// BlobMounting tells whether the account lets a layer be taken over from
// another of its repositories. https://docs.aws.amazon.com/AmazonECR/latest/userguide/blob-mounting.html
func (c *Client) BlobMounting(ctx context.Context) (on bool, err error) {
	defer wrap(&err, "account setting")
	out, err := call(ctx, c, "GetAccountSetting", c.api.GetAccountSetting, &sdk.GetAccountSettingInput{Name: aws.String("BLOB_MOUNTING")})
	if err != nil {
		return false, err
	}
	return aws.ToString(out.Value) == "ENABLED", nil
}

func repository(r types.Repository) Repository {
	return Repository{
		Name: aws.ToString(r.RepositoryName), ARN: aws.ToString(r.RepositoryArn), URI: aws.ToString(r.RepositoryUri),
		Immutable: r.ImageTagMutability == types.ImageTagMutabilityImmutable, Created: aws.ToTime(r.CreatedAt),
	}
}
