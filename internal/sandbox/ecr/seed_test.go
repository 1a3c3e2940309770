package ecr

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// call sends a signed API request of any form.
func (s *Server) call(t *testing.T, operation string, request map[string]any) (int, []byte) {
	t.Helper()
	if request == nil {
		request = map[string]any{}
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("X-Amz-Target", targetPrefix+operation)
	id, secret := s.WorkerKey()
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, req, hex.EncodeToString(sum[:]), "ecr", "eu-north-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

func blobOf(content []byte) string { return oci.Digest(content) }

// seed uploads an image v1 with this config and one layer, and something that
// refers to it, through the API only.
func seed(t *testing.T, s *Server, repository string, config []byte) (manifest, digest string) {
	t.Helper()
	upload := func(content []byte) oci.Descriptor {
		t.Helper()
		var up initiateLayerUploadOut
		post(t, s, "InitiateLayerUpload", map[string]any{"repositoryName": repository}, &up)
		post(t, s, "UploadLayerPart", map[string]any{
			"repositoryName": repository, "uploadId": up.UploadID, "layerPartBlob": content, "partFirstByte": 0, "partLastByte": len(content) - 1,
		}, new(uploadLayerPartOut))
		post(t, s, "CompleteLayerUpload", map[string]any{"repositoryName": repository, "uploadId": up.UploadID, "layerDigests": []string{oci.Digest(content)}}, new(completeLayerUploadOut))
		return oci.Descriptor{Digest: oci.Digest(content), Size: int64(len(content))}
	}
	put := func(m oci.Manifest, tag string) (string, string) {
		t.Helper()
		content, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		request := map[string]any{"repositoryName": repository, "imageManifest": string(content)}
		if tag != "" {
			request["imageTag"] = tag
		}
		post(t, s, "PutImage", request, new(putImageOut))
		return string(content), oci.Digest(content)
	}
	c, l := upload(config), upload([]byte("layer"))
	c.MediaType, l.MediaType = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
	m := oci.Manifest{SchemaVersion: 2, MediaType: oci.OCIManifest, Config: &c, Layers: []oci.Descriptor{l}}
	manifest, digest = put(m, "v1")
	m.ArtifactType, m.Annotations = "application/x-note", map[string]string{"note": "seed"}
	m.Subject = &oci.Descriptor{MediaType: oci.OCIManifest, Digest: digest, Size: int64(len(manifest))}
	put(m, "")
	return manifest, digest
}

// post sends a request and decodes the answer strictly.
func post(t *testing.T, s *Server, operation string, request map[string]any, into any) {
	t.Helper()
	status, body := s.call(t, operation, request)
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s (%v)", operation, status, body, err)
	}
}
