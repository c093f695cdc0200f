// Package pki makes the certificates, keys and kubeconfigs of a cluster.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

// validity is long: a cluster that lives for a year is not for tests.
const validity = 365 * 24 * time.Hour

// Pair is a certificate with its key, both PEM.
type Pair struct {
	Cert, Key []byte
}

// Authority signs the certificates of one cluster.
type Authority struct {
	Pair
	cert *x509.Certificate
	key  crypto.Signer
}

// Subject says whom a certificate is for. With hosts it is for a server as
// well as for a client.
type Subject struct {
	User   string
	Groups []string
	Hosts  []string
}

// NewAuthority makes a certificate authority.
func NewAuthority() (*Authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "modelcache test cluster"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return newAuthority(template)
}

func newAuthority(template *x509.Certificate) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	pair, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(pair.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return &Authority{Pair: pair, cert: cert, key: key}, nil
}

// LoadAuthority reads what Write wrote: a node that joins later needs its own
// certificate.
func LoadAuthority(path func(string) string) (*Authority, error) {
	cert, err := os.ReadFile(path("ca.crt"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(path("ca.key"))
	if err != nil {
		return nil, err
	}
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	if certBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("%s and its key must be PEM", path("ca.crt"))
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	parsedKey, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	return &Authority{Pair: Pair{cert, key}, cert: parsed, key: parsedKey}, nil
}

// Issue makes a certificate.
func (a *Authority) Issue(subject Subject) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: subject.User, Organization: subject.Groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range subject.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if len(subject.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return sign(template, a.cert, key, a.key)
}

func sign(template, parent *x509.Certificate, key, parentKey crypto.Signer) (Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks in tests are moved
	template.NotAfter = time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// PublicKey is the public key of a certificate, as service account tokens are
// checked with.
func (p Pair) PublicKey() ([]byte, error) {
	block, _ := pem.Decode(p.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(cert.PublicKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Write stores the pair as <base>.crt and <base>.key.
func (p Pair) Write(base string) error {
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(base+".crt", p.Cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(base+".key", p.Key, 0o600)
}

var kubeconfig = template.Must(template.New("kubeconfig").Parse(`apiVersion: v1
kind: Config
clusters:
- name: {{.Cluster}}
  cluster:
    server: {{.Server}}
    certificate-authority-data: {{.CA}}
users:
- name: "{{.User}}"
  user:
    client-certificate-data: {{.Cert}}
    client-key-data: {{.Key}}
contexts:
- name: {{.Cluster}}
  context: {cluster: {{.Cluster}}, user: "{{.User}}"}
current-context: {{.Cluster}}
`))

// Kubeconfig issues a certificate for the user and writes a kubeconfig with it.
func (a *Authority) Kubeconfig(file, cluster, server string, subject Subject) (Pair, error) {
	pair, err := a.Issue(subject)
	if err != nil {
		return pair, err
	}
	var content bytes.Buffer
	err = kubeconfig.Execute(&content, map[string]string{
		"Cluster": cluster, "Server": server, "User": subject.User,
		"CA": base64.StdEncoding.EncodeToString(a.Cert), "Cert": base64.StdEncoding.EncodeToString(pair.Cert), "Key": base64.StdEncoding.EncodeToString(pair.Key),
	})
	if err != nil {
		return pair, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return pair, err
	}
	return pair, os.WriteFile(file, content.Bytes(), 0o600)
}
