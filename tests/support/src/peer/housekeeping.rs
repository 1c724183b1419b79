//! The automatic responses of an HTTP/2 endpoint, for tests with another subject.

use crate::frame::{Data, Frame, settings_ack, window_update};

use super::WirePeer;

impl WirePeer {
    /// Turns the peer's own housekeeping on. From then on it
    ///
    /// - acknowledges SETTINGS and PINGs,
    /// - gives the window of every DATA frame back when the test reads it,
    /// - shows the test neither these SETTINGS and PINGs, nor ACKs of SETTINGS, nor WINDOW_UPDATEs
    ///   (the transcript has them all).
    pub fn housekeeping(self) -> Self {
        Self {
            keeps_house: true,
            ..self
        }
    }

    /// Responds to the frame. Returns whether the frame is hidden from the test.
    pub(super) async fn keep_house(&mut self, frame: &Frame) -> bool {
        // A failure to respond is not the test's: the test reads on, and sees the connection's end.
        match frame {
            Frame::Settings(settings) => {
                if !settings.ack {
                    let _ = self.try_send(settings_ack()).await;
                }
                true
            }
            Frame::Ping(ping) if !ping.ack => {
                let _ = self.try_send(ping.clone().ack()).await;
                true
            }
            Frame::WindowUpdate(_) => true,
            Frame::Data(data) => {
                self.return_window(data).await;
                false
            }
            _ => false,
        }
    }

    async fn return_window(&mut self, data: &Data) {
        let length = data.flow_controlled_len();
        if length == 0 {
            return;
        }
        let mut updates = vec![window_update(0, length)];
        if !data.end_stream {
            updates.push(window_update(data.stream_id, length));
        }
        let _ = self.try_send(updates).await;
    }
}
