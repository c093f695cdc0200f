//! How does a connection end when the hub is down? At once: the ones that come and the ones that are there.

use super::state::State;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections, and drops them while the hub is down.
pub struct Listener {
    pub inner: TcpListener,
    pub state: Arc<State>,
}

/// A connection that fails once the hub is down.
pub struct Connection {
    inner: TcpStream,
    state: Arc<State>,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok((inner, address)) = self.inner.accept().await else { continue };
            if self.state.is_down() {
                continue;
            }
            let _ = inner.set_nodelay(true);
            if self.state.lock().throttle > 0 {
                let _ = keep_little(&inner);
            }
            return (Connection { inner, state: self.state.clone() }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Little is under way at a time on a throttled connection, so that what was sent is nearly what has arrived, also where the
/// one that reads has no time to.
fn keep_little(stream: &TcpStream) -> io::Result<()> {
    let same = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    tokio::net::TcpSocket::from_std_stream(same).set_send_buffer_size(64 * 1024)
}

impl Connection {
    fn alive(&self) -> io::Result<()> {
        if self.state.is_down() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive()?;
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        // What was read while it went down is not answered.
        self.alive()?;
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
