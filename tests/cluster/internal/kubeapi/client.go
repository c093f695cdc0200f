// Package kubeapi is the little of the Kubernetes API that the launcher needs,
// over plain HTTP: the client libraries would make it slow to build.
package kubeapi

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"modelcache.test/cluster/internal/pki"
)

// Client talks to one API server as the administrator.
type Client struct {
	server string
	http   *http.Client
}

// ErrNotFound is what a missing object gives.
var ErrNotFound = errors.New("not found")

// New makes a client that trusts the authority and presents the pair.
func New(server string, ca []byte, client pki.Pair) (*Client, error) {
	certificate, err := tls.X509KeyPair(client.Cert, client.Key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}},
		Proxy:           nil, // the API server is on this machine
	}
	return &Client{server: server, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

// Ready asks the API server whether it is.
func (c *Client) Ready() bool { return c.do(http.MethodGet, "/readyz", nil, nil) == nil }

// Exists says whether an object is there.
func (c *Client) Exists(path string) bool { return c.do(http.MethodGet, path, nil, nil) == nil }

// Create makes an object; one that is there already is left as it is.
func (c *Client) Create(path string, object any) error {
	err := c.do(http.MethodPost, path, object, nil)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusConflict {
		return nil
	}
	return err
}

// Delete removes an object; one that is not there is fine.
func (c *Client) Delete(path string) error {
	if err := c.do(http.MethodDelete, path, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// NodeReady is the status of a node's Ready condition ("True", "False",
// "Unknown"), or "" if the node is not there.
func (c *Client) NodeReady(name string) string {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if c.do(http.MethodGet, "/api/v1/nodes/"+name, nil, &node) != nil {
		return ""
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status
		}
	}
	return ""
}

type statusError struct {
	request string
	code    int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: the API server says %d: %s", e.request, e.code, e.message)
}

func (e *statusError) Is(target error) bool {
	return target == ErrNotFound && e.code == http.StatusNotFound
}

func (c *Client) do(method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, c.server+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return &statusError{method + " " + path, response.StatusCode, string(received)}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(received, answer)
}
