package ecr

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"
)

// Sizes of a page and of a batch, as ECR's API model allows at most.
const (
	imagesPage  = 1000
	imagesBatch = 100
	layersBatch = 100

	layersAbreast = 8 // batches side by side
)

// Image is one manifest in a repository: an image, an index or any artifact.
type Image struct {
	Digest    string
	Tags      []string
	MediaType string
	Bytes     int64 // compressed; of an index, its largest child
	PushedAt  time.Time
	// LastPull is when the image was last recorded as pulled, which ECR does no
	// more often than once a day. Zero if never.
	LastPull time.Time
	Subject  string // digest of the manifest that this one is about, if any
}

// Images lists a repository with and without tags, a thousand a request.
func (c *Client) Images(ctx context.Context, name string) (list []Image, err error) {
	defer wrap(&err, "images of %s", name)
	in := &sdk.DescribeImagesInput{RepositoryName: aws.String(name), MaxResults: aws.Int32(imagesPage)}
	for {
		out, err := call(ctx, c, "DescribeImages", c.api.DescribeImages, in)
		if err != nil {
			return nil, err
		}
		for _, d := range out.ImageDetails {
			list = append(list, image(d))
		}
		if aws.ToString(out.NextToken) == "" {
			return list, nil
		}
		in.NextToken = out.NextToken
	}
}

// ImagesByTag describes the images behind a few tags. A tag that is not there
// is not in the answer.
func (c *Client) ImagesByTag(ctx context.Context, name string, tags []string) (found map[string]Image, err error) {
	defer wrap(&err, "images of %s", name)
	found = make(map[string]Image)
	for _, batch := range chunks(tags, imagesBatch) {
		if err := c.byTag(ctx, name, batch, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// byTag halves a batch that was refused, because ECR refuses the whole of it
// for one tag that is missing and does not say which.
func (c *Client) byTag(ctx context.Context, name string, tags []string, found map[string]Image) error {
	ids := make([]types.ImageIdentifier, len(tags))
	for i, tag := range tags {
		ids[i].ImageTag = aws.String(tag)
	}
	out, err := call(ctx, c, "DescribeImages", c.api.DescribeImages, &sdk.DescribeImagesInput{RepositoryName: aws.String(name), ImageIds: ids})
	if errors.Is(err, errImageNotFound) {
		if len(tags) == 1 {
			return nil
		}
		half := len(tags) / 2
		if err := c.byTag(ctx, name, tags[:half], found); err != nil {
			return err
		}
		return c.byTag(ctx, name, tags[half:], found)
	}
	if err != nil {
		return err
	}
	for _, d := range out.ImageDetails {
		i := image(d)
		for _, tag := range i.Tags {
			if slices.Contains(tags, tag) {
				found[tag] = i
			}
		}
	}
	return nil
}

// Layers tells which of these blobs the repository holds, a hundred a request.
// Blobs that no manifest refers to may vanish at any time, so a yes is not a
// promise: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html
func (c *Client) Layers(ctx context.Context, name string, digests []string) (available map[string]bool, err error) {
	defer wrap(&err, "layers of %s", name)
	available = make(map[string]bool, len(digests))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(layersAbreast)
	for _, batch := range chunks(digests, layersBatch) {
		g.Go(func() error {
			out, err := call(ctx, c, "BatchCheckLayerAvailability", c.api.BatchCheckLayerAvailability, &sdk.BatchCheckLayerAvailabilityInput{
				RepositoryName: aws.String(name), LayerDigests: batch,
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, l := range out.Layers {
				available[aws.ToString(l.LayerDigest)] = l.LayerAvailability == types.LayerAvailabilityAvailable
			}
			return nil
		})
	}
	return available, g.Wait()
}

func image(d types.ImageDetail) Image {
	return Image{
		Digest: aws.ToString(d.ImageDigest), Tags: d.ImageTags, MediaType: aws.ToString(d.ImageManifestMediaType),
		Bytes: aws.ToInt64(d.ImageSizeInBytes), PushedAt: aws.ToTime(d.ImagePushedAt),
		LastPull: aws.ToTime(d.LastRecordedPullTime), Subject: aws.ToString(d.SubjectManifestDigest),
	}
}
