//! Common code of the servers: they listen on loopback, and print their address.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// Listens on a port of 127.0.0.1; with 0 the system chooses one.
///
/// # Errors
/// The port cannot be had.
pub fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .with_context(|| format!("cannot listen on port {port}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Prints the line that the driver waits for.
///
/// # Errors
/// The output is closed.
#[allow(clippy::print_stdout, reason = "a program's output")]
pub fn announce(listener: &TcpListener) -> Result<()> {
    println!("{READY}{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(())
}

/// The beginning of the line that a server prints when it listens; its address follows.
pub const READY: &str = "listening on ";
