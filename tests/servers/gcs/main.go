// fake-gcs-server, and before it what it lacks of Google's XML API: tokens that are checked, listings in pages, conditions in
// headers, uploads in parts, refusals in XML. Objects, generations, conditions and ranges are its own. What stands before it is
// written after https://docs.cloud.google.com/storage/docs/xml-api/overview and its pages.
package main

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// A listing has at most so many objects to a page, as Google's.
const page = 1000

// All parts of an upload but the last have at least so many bytes.
const smallestPart = 5 << 20

type front struct {
	fake *fakestorage.Server
	// Who signs for the service accounts.
	key *rsa.PublicKey
	// A token that the machine's metadata server gives out.
	machine string

	lock    sync.Mutex
	uploads map[string]map[int][]byte
}

// What is told to who is refused.
type refusal struct {
	status int
	code   string
	words  string
}

func main() {
	address := flag.String("address", "", "host and port to listen at")
	public := flag.String("key", "", "file with the public key of the service accounts, in PEM")
	machine := flag.String("token", "", "token of the machine's own account")
	flag.Parse()
	text, err := os.ReadFile(*public)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		log.Fatalf("%s is no PEM", *public)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		log.Fatal(err)
	}
	it := &front{fake: fake, key: key.(*rsa.PublicKey), machine: *machine, uploads: map[string]map[int][]byte{}}
	log.Fatal(http.ListenAndServe(*address, it))
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if path == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	inBucket, inObject, _ := strings.Cut(path, "/")
	bucket, _ := url.PathUnescape(inBucket)
	object, _ := url.PathUnescape(inObject)
	if no := f.refused(r, bucket); no != nil {
		no.tell(w)
		return
	}
	query := r.URL.Query()
	if object == "" && r.Method == http.MethodPut {
		f.fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
		return
	}
	if _, err := f.fake.Backend().GetBucket(bucket); err != nil {
		(&refusal{404, "NoSuchBucket", "The specified bucket does not exist."}).tell(w)
		return
	}
	switch {
	case object == "":
		f.list(w, bucket, query)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.get(w, r, bucket, object)
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		f.abort(w, query.Get("uploadId"))
	case r.Method == http.MethodDelete:
		f.remove(w, bucket, object)
	case r.Method == http.MethodPost && query.Has("uploads"):
		f.begin(w, bucket, object)
	case r.Method == http.MethodPost && query.Has("uploadId"):
		f.complete(w, r, bucket, object, query.Get("uploadId"))
	case r.Method == http.MethodPut && query.Has("uploadId"):
		f.part(w, r, query)
	case r.Method == http.MethodPut:
		f.put(w, bucket, object, r.Header.Get("x-goog-if-generation-match"), r.Body, func(string) {})
	default:
		(&refusal{405, "MethodNotAllowed", "The specified method is not allowed against this resource."}).tell(w)
	}
}

func (no *refusal) tell(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(no.status)
	fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>%s</Message></Error>", no.code, no.words)
}

// Whether this request may not be. Buckets called `public…` are for everybody to read; accounts called `reader…` do not write.
func (f *front) refused(r *http.Request, bucket string) *refusal {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	denied := &refusal{403, "AccessDenied", "Access denied."}
	header := r.Header.Get("Authorization")
	if header == "" {
		if reads && strings.HasPrefix(bucket, "public") {
			return nil
		}
		return denied
	}
	token := strings.TrimPrefix(header, "Bearer ")
	if f.machine != "" && token == f.machine {
		return nil
	}
	account, err := f.account(token)
	if err != nil {
		log.Printf("a token is refused: %v", err)
		return &refusal{401, "AuthenticationRequired", "Authentication required."}
	}
	if !reads && strings.HasPrefix(account, "reader") {
		return denied
	}
	return nil
}

// The account that has signed a token: https://google.aip.dev/auth/4111
func (f *front) account(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("it has %d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(f.key, crypto.SHA256, hash[:], signature); err != nil {
		return "", err
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Scope   string `json:"scope"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	now := time.Now().Unix()
	if claims.Issuer == "" || claims.Issuer != claims.Subject || claims.Issued > now+60 || claims.Expires < now || claims.Expires > claims.Issued+3600 {
		return "", fmt.Errorf("its claims do not hold: %s", text)
	}
	if !strings.HasPrefix(claims.Scope, "https://www.googleapis.com/auth/") {
		return "", fmt.Errorf("its scope is %q", claims.Scope)
	}
	return claims.Issuer, nil
}

type listed struct {
	Key          string
	Generation   int64
	LastModified string
	ETag         string
	Size         int64
}

// https://docs.cloud.google.com/storage/docs/xml-api/get-bucket-list
func (f *front) list(w http.ResponseWriter, bucket string, query url.Values) {
	token, _ := base64.URLEncoding.DecodeString(query.Get("continuation-token"))
	limit, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || limit > page {
		limit = page
	}
	found, err := f.fake.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{
		Prefix: query.Get("prefix"), StartOffset: query.Get("start-after"), PageToken: string(token), MaxResults: limit,
	})
	if err != nil {
		(&refusal{500, "InternalError", err.Error()}).tell(w)
		return
	}
	answer := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name                  string
		Prefix                string
		KeyCount              int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []listed
	}{Name: bucket, Prefix: query.Get("prefix"), KeyCount: len(found.Objects), IsTruncated: found.NextPageToken != ""}
	if answer.IsTruncated {
		answer.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(found.NextPageToken))
	}
	for _, it := range found.Objects {
		changed := it.Updated.UTC().Format("2006-01-02T15:04:05.000Z")
		answer.Contents = append(answer.Contents, listed{it.Name, it.Generation, changed, quoted(it.Etag), it.Size})
	}
	tell(w, answer)
}

func tell(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	io.WriteString(w, xml.Header)
	xml.NewEncoder(w).Encode(answer)
}

func quoted(tag string) string {
	return `"` + strings.Trim(tag, `"`) + `"`
}

// https://docs.cloud.google.com/storage/docs/xml-api/get-object
func (f *front) get(w http.ResponseWriter, r *http.Request, bucket, object string) {
	found, err := f.fake.GetObjectStreaming(bucket, object)
	if err != nil {
		(&refusal{404, "NoSuchKey", "The specified key does not exist."}).tell(w)
		return
	}
	found.Close()
	if wanted := r.Header.Get("If-Match"); wanted != "" && quoted(wanted) != quoted(found.Etag) {
		(&refusal{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."}).tell(w)
		return
	}
	r.URL = inside("/download/storage/v1/b/", bucket, object)
	f.fake.HTTPHandler().ServeHTTP(w, r)
}

// The address of an object in the JSON API.
func inside(before, bucket, object string) *url.URL {
	return &url.URL{
		Path:    before + bucket + "/o/" + object,
		RawPath: before + url.PathEscape(bucket) + "/o/" + url.PathEscape(object),
	}
}

// https://docs.cloud.google.com/storage/docs/xml-api/put-object-upload
func (f *front) put(w http.ResponseWriter, bucket, object, generation string, body io.Reader, done func(tag string)) {
	// Of its ways to upload at once the one that holds conditions.
	query := url.Values{"uploadType": {"multipart"}, "name": {object}}
	if generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	var related bytes.Buffer
	parts := multipart.NewWriter(&related)
	about, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/json"}})
	json.NewEncoder(about).Encode(map[string]string{"name": object})
	content, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/octet-stream"}})
	if _, err := io.Copy(content, body); err != nil {
		return
	}
	parts.Close()
	address := "/upload/storage/v1/b/" + url.PathEscape(bucket) + "/o?" + query.Encode()
	request := httptest.NewRequest(http.MethodPost, address, &related)
	request.Header.Set("Content-Type", "multipart/related; boundary="+parts.Boundary())
	answer := httptest.NewRecorder()
	f.fake.HTTPHandler().ServeHTTP(answer, request)
	switch answer.Code {
	case http.StatusOK:
		var made struct{ Etag, Generation string }
		if err := json.Unmarshal(answer.Body.Bytes(), &made); err != nil {
			(&refusal{500, "InternalError", err.Error()}).tell(w)
			return
		}
		w.Header().Set("ETag", quoted(made.Etag))
		w.Header().Set("x-goog-generation", made.Generation)
		done(quoted(made.Etag))
	case http.StatusPreconditionFailed:
		(&refusal{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."}).tell(w)
	default:
		(&refusal{500, "InternalError", answer.Body.String()}).tell(w)
	}
}

// https://docs.cloud.google.com/storage/docs/xml-api/delete-object
func (f *front) remove(w http.ResponseWriter, bucket, object string) {
	request := httptest.NewRequest(http.MethodDelete, "/", nil)
	request.URL = inside("/storage/v1/b/", bucket, object)
	answer := httptest.NewRecorder()
	f.fake.HTTPHandler().ServeHTTP(answer, request)
	if answer.Code == http.StatusNotFound {
		(&refusal{404, "NoSuchKey", "The specified key does not exist."}).tell(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// https://docs.cloud.google.com/storage/docs/xml-api/post-object-multipart
func (f *front) begin(w http.ResponseWriter, bucket, object string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	id := fmt.Sprintf("upload-%d", time.Now().UnixNano())
	f.uploads[id] = map[int][]byte{}
	tell(w, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string
	}{Bucket: bucket, Key: object, UploadId: id})
}

// https://docs.cloud.google.com/storage/docs/xml-api/put-object-multipart
func (f *front) part(w http.ResponseWriter, r *http.Request, query url.Values) {
	number, err := strconv.Atoi(query.Get("partNumber"))
	content, broken := io.ReadAll(r.Body)
	f.lock.Lock()
	defer f.lock.Unlock()
	parts := f.uploads[query.Get("uploadId")]
	if parts == nil {
		noUpload.tell(w)
		return
	}
	if err != nil || broken != nil || number < 1 || number > 10000 {
		(&refusal{400, "InvalidArgument", "Invalid part."}).tell(w)
		return
	}
	parts[number] = content
	w.Header().Set("ETag", tagOf(content))
}

var noUpload = &refusal{404, "NoSuchUpload", "The requested upload was not found."}

func tagOf(content []byte) string {
	sum := md5.Sum(content)
	return quoted(hex.EncodeToString(sum[:]))
}

// https://docs.cloud.google.com/storage/docs/xml-api/post-object-complete
func (f *front) complete(w http.ResponseWriter, r *http.Request, bucket, object, id string) {
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
		(&refusal{400, "MalformedCompleteMultipartUploadRequest", err.Error()}).tell(w)
		return
	}
	f.lock.Lock()
	parts := f.uploads[id]
	f.lock.Unlock()
	if parts == nil {
		noUpload.tell(w)
		return
	}
	var whole bytes.Buffer
	for at, it := range asked.Part {
		content := parts[it.PartNumber]
		if content == nil || quoted(it.ETag) != tagOf(content) {
			(&refusal{400, "InvalidPart", "One or more of the specified parts could not be found."}).tell(w)
			return
		}
		if at+1 < len(asked.Part) && len(content) < smallestPart {
			(&refusal{400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size."}).tell(w)
			return
		}
		whole.Write(content)
	}
	f.put(w, bucket, object, "", &whole, func(tag string) {
		f.lock.Lock()
		delete(f.uploads, id)
		f.lock.Unlock()
		tell(w, struct {
			XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
			Bucket  string
			Key     string
			ETag    string
		}{Bucket: bucket, Key: object, ETag: tag})
	})
}

// https://docs.cloud.google.com/storage/docs/xml-api/delete-multipart
func (f *front) abort(w http.ResponseWriter, id string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.uploads[id] == nil {
		noUpload.tell(w)
		return
	}
	delete(f.uploads, id)
	w.WriteHeader(http.StatusNoContent)
}
