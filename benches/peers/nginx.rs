//! Who sends the bytes? Debian's nginx with sendfile, whose access log says what was asked and what was sent.

use crate::Trouble;
use crate::stop;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Another address than the hub's: some clients keep tokens for everything on the hub's own.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Opens the listening socket and becomes nginx, which takes it over as in an upgrade of itself. A socket's pacing rate goes
/// over to the connections that it accepts, so TCP itself paces each connection; 47 is `SO_MAX_PACING_RATE`. (nginx's own
/// `limit_rate` counts per request and lets the first second's worth through at once.)
const BECOME_NGINX: &str = "\
import os, socket, sys
prefix, host, port, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if rate:
    s.setsockopt(socket.SOL_SOCKET, 47, rate)
s.bind((host, port))
s.listen(511)
s.set_inheritable(True)
os.environ['NGINX'] = f'{s.fileno()};'
os.execvp('nginx', ['nginx', '-p', prefix, '-c', prefix + '/nginx.conf'])
";

/// A running nginx.
pub struct Nginx {
    at: SocketAddr,
    log: PathBuf,
}

/// What the access log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub requests: u64,
    /// Body bytes handed to the kernel.
    pub bytes: u64,
    pub connections: u64,
}

impl Nginx {
    /// Serves `files` at `/cdn/`; a connection gets at most `rate` bytes per second, 0 for no limit.
    pub fn start(prefix: &Path, files: &Path, rate: u64, python: &Path) -> Result<Self, Trouble> {
        let trouble = |error: std::io::Error| format!("nginx in {}: {error}", prefix.display());
        std::fs::create_dir_all(prefix).map_err(trouble)?;
        let free = TcpListener::bind((HOST, 0)).and_then(|it| it.local_addr()).map_err(trouble)?;
        let log = prefix.join("access.log");
        std::fs::write(prefix.join("nginx.conf"), configuration(prefix, files, free)).map_err(trouble)?;
        let said = prefix.join("error.log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(python).args(["-c", BECOME_NGINX]).arg(prefix);
        command.arg(HOST.to_string()).arg(free.port().to_string()).arg(rate.to_string());
        command.stdin(Stdio::null()).stderr(File::create(&said).map_err(trouble)?).process_group(0);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let mut child = command.spawn().map_err(trouble)?;
        stop::group(&child);
        let nginx = Self { at: free, log };
        let deadline = Instant::now() + Duration::from_secs(10);
        while nginx.connections().is_none() {
            let ended = child.try_wait().map_err(trouble)?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!("nginx does not start: {}", std::fs::read_to_string(&said).unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// Scheme, host and port.
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Forgets what was logged. nginx appends, so that the file may be cut under it.
    pub fn forget(&self) -> Result<(), Trouble> {
        let file = File::options().write(true).open(&self.log);
        file.and_then(|it| it.set_len(0)).map_err(|error| format!("{}: {error}", self.log.display()))
    }

    /// What was served since. Waits for connections to end: a request is logged at its end.
    pub fn served(&self) -> Result<Served, Trouble> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.connections().is_none_or(|it| it > 1) {
            if Instant::now() > deadline {
                return Err("nginx still has connections 20 s after the program's end".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Served::read(&std::fs::read_to_string(&self.log).map_err(|error| error.to_string())?))
    }

    /// Connections that are open, the one that asks included.
    fn connections(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(self.at).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split("Active connections: ").nth(1)?.split_whitespace().next()?.parse().ok()
    }
}

impl Served {
    /// Reads lines of status, body bytes and number of the connection.
    pub fn read(log: &str) -> Self {
        let mut served = Self::default();
        let mut connections = std::collections::BTreeSet::new();
        for line in log.lines() {
            let mut words = line.split(' ').skip(1);
            served.requests += 1;
            served.bytes += words.next().and_then(|it| it.parse::<u64>().ok()).unwrap_or_default();
            connections.extend(words.next().map(str::to_owned));
        }
        served.connections = connections.len() as u64;
        served
    }
}

fn configuration(prefix: &Path, files: &Path, at: SocketAddr) -> String {
    let (prefix, files) = (prefix.display(), files.display());
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary
        .map(|what| {
            format!(
                "  {what}_temp_path {prefix}/{what};
"
            )
        })
        .concat();
    format!(
        "daemon off;\n{user}\nworker_processes 2;\npid {prefix}/nginx.pid;\nerror_log {prefix}/error.log warn;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n{temporary}  sendfile on;\n  tcp_nopush on;\n  \
         log_format told '$status $body_bytes_sent $connection';\n  access_log {prefix}/access.log told;\n  \
         server {{\n    listen {at};\n    location /cdn/ {{ alias {files}/; }}\n    \
         location /status {{ stub_status; access_log off; }}\n  }}\n}}\n"
    )
}
