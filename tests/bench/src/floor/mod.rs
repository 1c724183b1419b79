//! The floor: what a call costs when HTTP/2 is next to nothing. Frames are written by hand, header
//! blocks are encoded before the first call and never decoded, one thread reads what is there and
//! answers it with one write. The messages are encoded and decoded as everybody's are.
//!
//! It is no implementation of HTTP/2: it answers SETTINGS and PING, keeps to the peer's
//! flow-control windows, and takes for granted that a message arrives in one DATA frame. Anything
//! else is an error that says so.

pub mod client;
mod client_connection;
mod frame;
mod header_block;
mod message;
pub mod server;
mod server_connection;
mod settings;
mod wire;

use anyhow::Result;
use prost::Message;

/// A message as in DATA, with its prefix.
///
/// # Errors
/// It is larger than a message can be.
pub(crate) fn framed(message: &impl Message) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    message::write(&mut bytes, message)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::client_connection::ClientConnection;
    use super::server_connection::ServerConnection;
    use crate::flags::Mode;
    use crate::latency::Latencies;
    use crate::payload;

    /// Passes bytes between a client and a server so often, and returns how many calls ended.
    fn calls(mode: Mode, streams: usize, response: i32, repeat: u32) -> u64 {
        let request = payload::request(32, response).unwrap();
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut client = ClientConnection::new(mode, streams, &request, "test", &mut to_server);
        let mut server = ServerConnection::new(repeat, &mut to_client);
        let mut latencies = Latencies::new().unwrap();
        for _ in 0..10 {
            let sent = std::mem::take(&mut to_server);
            let handled = server.receive(&sent, &mut to_client).unwrap();
            assert_eq!(handled, sent.len(), "the client sends whole frames");
            let sent = std::mem::take(&mut to_client);
            let now = Instant::now();
            let handled = client.receive(&sent, now, &mut latencies, &mut to_server);
            assert_eq!(
                handled.unwrap(),
                sent.len(),
                "the server sends whole frames"
            );
        }
        latencies.calls()
    }

    #[test]
    fn every_loop_makes_its_next_call_when_one_has_ended() {
        // The first exchange is of settings, and the nine others end a call of each loop.
        assert_eq!(calls(Mode::Unary, 1, 32, 1), 9);
        assert_eq!(calls(Mode::Unary, 100, 32, 1), 900);
        assert_eq!(calls(Mode::Stream, 100, 32, 1), 900);
    }

    #[test]
    fn pushed_messages_come_in_frames_that_end_where_messages_do() {
        assert_eq!(calls(Mode::Push, 2, 32, 1_000), 9 * 2 * 1_000);
    }

    #[test]
    fn requests_beyond_the_window_of_the_connection_wait_for_it() {
        // 65,535 bytes are the default window of a connection.
        let request = payload::request(10_000, 0).unwrap();
        let mut sent = Vec::new();
        let mut client = ClientConnection::new(Mode::Unary, 10, &request, "test", &mut sent);
        let mut latencies = Latencies::new().unwrap();
        let mut receive = |frame: &[u8], sent: &mut Vec<u8>| {
            sent.clear();
            client
                .receive(frame, Instant::now(), &mut latencies, sent)
                .unwrap();
            sent.len() / 10_000
        };
        assert_eq!(receive(&[0, 0, 0, 4, 0, 0, 0, 0, 0], &mut sent), 6);
        let window_update = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0x40, 0];
        assert_eq!(receive(&window_update, &mut sent), 2, "16,384 bytes more");
    }
}
