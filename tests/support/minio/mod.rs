//! MinIO: a real S3 server, on loopback unless pods are to reach it, with a directory of its own. It goes when the test process does, also when that is killed:
//! a shell waits for the end of a pipe that we hold.

mod program;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The administrator's keys.
pub const ID: &str = "modelcache-test";
/// As above.
pub const SECRET: &str = "a secret key/with+odd=characters";
/// Where the server says it is.
pub const REGION: &str = "eu-test-1";

/// Who talks to the server for the tests.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
/// One server for all tests of a binary: buckets keep them apart.
static SERVER: LazyLock<Minio> = LazyLock::new(Minio::start);
/// Where it listens, when somebody has said so before the first bucket was asked for.
static ADDRESS: OnceLock<IpAddr> = OnceLock::new();
static BUCKETS: Mutex<u32> = Mutex::new(0);

/// The running server.
pub struct Minio {
    /// Its base URL.
    pub url: String,
    _directory: tempfile::TempDir,
    /// Its end takes the server down.
    _guard: Child,
}

/// A bucket of its own for one test.
pub struct Bucket {
    pub name: String,
    pub url: String,
    client: AmazonS3,
}

impl Minio {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = *ADDRESS.get_or_init(|| Ipv4Addr::LOCALHOST.into());
        let address = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap();
        let script = "\"$0\" server --quiet --address $1 \"$2\" >\"$2.log\" 2>&1 & cat >/dev/null; kill -9 $!; rm -rf \"$2\" \"$2.log\"";
        // Its own process group, so that an interrupt for the test leaves the shell to do its work.
        let guard = Command::new("sh")
            .args(["-c", script])
            .arg(program::program())
            .arg(address.to_string())
            .arg(directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", directory.path())
            .env("MINIO_ROOT_USER", ID)
            .env("MINIO_ROOT_PASSWORD", SECRET)
            .env("MINIO_REGION", REGION)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        let started = Instant::now();
        let log = format!("{}.log", directory.path().display());
        while !RUNTIME.block_on(async { is_ready(&url).await }) {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(240), "MinIO is not ready after 240 s: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { url, _directory: directory, _guard: guard }
    }
}

async fn is_ready(url: &str) -> bool {
    let answer = http().get(format!("{url}/minio/health/ready")).send().await;
    answer.is_ok_and(|it| it.status().is_success())
}

fn http() -> reqwest::Client {
    // Whoever is second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Has the server listen at this address, where pods reach it. Before the first bucket.
pub fn listen_at(address: IpAddr) {
    assert_eq!(*ADDRESS.get_or_init(|| address), address, "the server listens elsewhere already");
}

/// A new bucket.
pub fn bucket() -> Bucket {
    let number = {
        let mut buckets = BUCKETS.lock().unwrap();
        *buckets += 1;
        *buckets
    };
    let name = format!("models-{number}");
    let url = SERVER.url.clone();
    let client = AmazonS3Builder::new()
        .with_endpoint(&url)
        .with_allow_http(true)
        .with_region(REGION)
        .with_bucket_name(&name)
        .with_access_key_id(ID)
        .with_secret_access_key(SECRET)
        .build()
        .unwrap();
    let bucket = Bucket { name, url, client };
    bucket.request(&[], "");
    bucket
}

impl Bucket {
    /// A PUT for the bucket itself: makes it, or sets something of it.
    fn request(&self, query: &[(&str, &str)], body: &str) {
        let options = SignedUrlOptions::default().with_query(query.iter().copied());
        let (itself, minute) = (Key::default(), Duration::from_secs(60));
        RUNTIME.block_on(async {
            let signed = self.client.signed_url_opts(reqwest::Method::PUT, &itself, minute, &options).await.unwrap();
            let answer = http().put(signed).body(body.to_owned()).send().await.unwrap();
            let status = answer.status();
            assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
        });
    }

    /// Lets everybody list and read.
    pub fn open_to_all(&self) {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:ListBucket", "s3:GetObject"],
            "Resource": [format!("arn:aws:s3:::{}", self.name), format!("arn:aws:s3:::{}/*", self.name)]
        }]});
        self.request(&[("policy", "")], &policy.to_string());
    }

    /// Lets everybody list, and nobody read.
    pub fn listed_by_all(&self) {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:ListBucket"],
            "Resource": [format!("arn:aws:s3:::{}", self.name)]
        }]});
        self.request(&[("policy", "")], &policy.to_string());
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let payload = PutPayload::from(bytes.to_vec());
        RUNTIME.block_on(self.client.put(&Key::parse(key).unwrap(), payload)).unwrap();
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<String> {
        use futures::TryStreamExt as _;
        let all = self.client.list(None).map_ok(|it| it.location.to_string());
        let mut keys: Vec<String> = RUNTIME.block_on(all.try_collect()).unwrap();
        keys.sort();
        keys
    }

    /// Many small objects, several at a time.
    pub fn put_all(&self, keys: impl Iterator<Item = String>) {
        use futures::StreamExt as _;
        let puts = keys.map(|key| async move {
            let payload = PutPayload::from(key.clone().into_bytes());
            self.client.put(&Key::parse(key).unwrap(), payload).await.unwrap();
        });
        RUNTIME.block_on(futures::stream::iter(puts).buffer_unordered(16).collect::<()>());
    }

    /// An object of several parts, whose tag is no hash of its bytes.
    pub fn put_in_parts(&self, key: &str, parts: &[&[u8]]) {
        RUNTIME.block_on(async {
            let mut upload = self.client.put_multipart(&Key::parse(key).unwrap()).await.unwrap();
            for part in parts {
                upload.put_part(PutPayload::from(part.to_vec())).await.unwrap();
            }
            upload.complete().await.unwrap();
        });
    }

    /// An object that stands for a directory, as consoles make them. The crate has no such keys, so that the request is signed
    /// by hand of its parts.
    pub fn put_directory(&self, key: &str) {
        let credential = object_store::aws::AwsCredential { key_id: ID.into(), secret_key: SECRET.into(), token: None };
        let authorizer = object_store::aws::AwsAuthorizer::new(&credential, "s3", REGION);
        let mut request = ::http::Request::builder()
            .method("PUT")
            .uri(format!("{}/{}/{key}", self.url, self.name))
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        authorizer.try_authorize(&mut request, None).unwrap();
        let (parts, _) = request.into_parts();
        RUNTIME.block_on(async {
            let put = http().put(parts.uri.to_string()).headers(parts.headers).body(Vec::new());
            let answer = put.send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        });
    }

    /// The source's `s3`, without keys.
    pub fn s3(&self) -> serde_json::Value {
        serde_json::json!({"bucket": self.name, "endpoint": self.url, "region": REGION})
    }
}
