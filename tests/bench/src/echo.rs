//! A bare socket that echoes: what a large message costs without gRPC and HTTP/2. The server sends
//! a message back when all of it has arrived, as a gRPC server must.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cpu::CpuClock;
use crate::latency::Latencies;
use crate::report::{Report, Window};

/// Serves one connection after the other, until the process ends.
///
/// # Errors
/// The listener fails, or a connection in the middle of a message.
pub fn serve(listener: &TcpListener, message: usize) -> Result<()> {
    listener.set_nonblocking(false)?;
    let mut buffer = vec![0; message];
    loop {
        let (mut socket, _) = listener.accept().context("accepting")?;
        socket.set_nodelay(true)?;
        loop {
            match socket.read_exact(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                read => read.context("reading")?,
            }
            socket.write_all(&buffer).context("writing")?;
        }
    }
}

/// Sends messages and reads each back, one after the other.
///
/// # Errors
/// The connection fails.
pub fn run(
    port: u16,
    message: usize,
    warmup: Duration,
    window: Duration,
    server_pid: Option<u32>,
) -> Result<Report> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut client = Client {
        socket: TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?,
        buffer: vec![0; message],
    };
    client.socket.set_nodelay(true)?;
    let server = server_pid.map(CpuClock::of).transpose()?;
    client.run(warmup, &mut Latencies::new()?)?;
    let mut latencies = Latencies::new()?;
    let measured = Window::begin(server)?;
    client.run(window, &mut latencies)?;
    measured.end(&latencies)
}

struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn run(&mut self, time: Duration, latencies: &mut Latencies) -> Result<()> {
        let end = Instant::now() + time;
        let mut begun = Instant::now();
        while begun < end {
            self.socket.write_all(&self.buffer).context("writing")?;
            self.socket
                .read_exact(&mut self.buffer)
                .context("reading")?;
            let now = Instant::now();
            latencies.record(now - begun, 1);
            begun = now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_again_and_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || serve(&listener, 100_000));
        let short = Duration::from_millis(20);
        assert!(run(port, 100_000, short, short, None).unwrap().calls > 0);
    }
}
