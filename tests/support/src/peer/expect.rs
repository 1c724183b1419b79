//! The expectations of a test. Each takes the next event and nothing else.

use std::panic::Location;

use tokio::time::Instant;

use crate::frame::{
    Data, ErrorCode, Frame, GoAway, Headers, Malformation, Ping, Priority, PushPromise, RawFrame,
    Settings, WindowUpdate, ping,
};

use super::{Event, WirePeer};

impl WirePeer {
    /// Expects the next frame to be one that `pick` takes; it returns any other. `what` names the
    /// expectation in the failure's text.
    #[track_caller]
    pub fn expect<T>(
        &mut self,
        what: impl Into<String>,
        pick: impl FnOnce(Frame) -> Result<T, Frame>,
    ) -> impl Future<Output = T> {
        let at = Location::caller();
        async move {
            let picked = match self.next_event().await {
                Event::Frame(frame) => pick(frame).map_err(Event::Frame),
                other => Err(other),
            };
            picked.unwrap_or_else(|instead| self.fail(at, &what.into(), &instead))
        }
    }

    /// Drops frames until `pick` takes one; it returns the others.
    #[track_caller]
    pub fn skip_to<T>(
        &mut self,
        what: impl Into<String>,
        mut pick: impl FnMut(Frame) -> Result<T, Frame>,
    ) -> impl Future<Output = T> {
        let at = Location::caller();
        let deadline = Instant::now() + self.patience;
        async move {
            loop {
                match self.event_before(deadline).await {
                    Event::Frame(frame) => {
                        if let Ok(picked) = pick(frame) {
                            return picked;
                        }
                    }
                    end => self.fail(at, &what.into(), &end),
                }
            }
        }
    }

    /// Expects a header block on the stream.
    #[track_caller]
    pub fn expect_headers(&mut self, stream_id: u32) -> impl Future<Output = Headers> {
        self.expect(
            format!("HEADERS on stream {stream_id}"),
            move |frame| match frame {
                Frame::Headers(headers) if headers.stream_id == stream_id => Ok(headers),
                other => Err(other),
            },
        )
    }

    /// Expects DATA on the stream.
    #[track_caller]
    pub fn expect_data(&mut self, stream_id: u32) -> impl Future<Output = Data> {
        self.expect(
            format!("DATA on stream {stream_id}"),
            move |frame| match frame {
                Frame::Data(data) if data.stream_id == stream_id => Ok(data),
                other => Err(other),
            },
        )
    }

    /// Expects RST_STREAM with this code on the stream.
    #[track_caller]
    pub fn expect_rst(&mut self, stream_id: u32, code: ErrorCode) -> impl Future<Output = ()> {
        let what = format!("RST_STREAM {code} on stream {stream_id}");
        self.expect(what, move |frame| match frame {
            Frame::RstStream(rst) if rst.stream_id == stream_id && rst.code == code => Ok(()),
            other => Err(other),
        })
    }

    /// Expects GOAWAY with this code.
    #[track_caller]
    pub fn expect_goaway(&mut self, code: ErrorCode) -> impl Future<Output = GoAway> {
        self.expect(format!("GOAWAY {code}"), move |frame| match frame {
            Frame::GoAway(goaway) if goaway.code == code => Ok(goaway),
            other => Err(other),
        })
    }

    /// Expects SETTINGS that are no ACK.
    #[track_caller]
    pub fn expect_settings(&mut self) -> impl Future<Output = Settings> {
        self.expect("SETTINGS", |frame| match frame {
            Frame::Settings(settings) if !settings.ack => Ok(settings),
            other => Err(other),
        })
    }

    /// Expects the ACK of SETTINGS.
    #[track_caller]
    pub fn expect_settings_ack(&mut self) -> impl Future<Output = ()> {
        self.expect("SETTINGS ACK", |frame| match frame {
            Frame::Settings(settings) if settings.ack => Ok(()),
            other => Err(other),
        })
    }

    /// Expects a PING that is no ACK.
    #[track_caller]
    pub fn expect_ping(&mut self) -> impl Future<Output = Ping> {
        self.expect("PING", |frame| match frame {
            Frame::Ping(ping) if !ping.ack => Ok(ping),
            other => Err(other),
        })
    }

    /// Expects the ACK of the PING with this opaque data.
    #[track_caller]
    pub fn expect_ping_ack(&mut self, opaque: [u8; 8]) -> impl Future<Output = ()> {
        let what = format!("PING ACK \"{}\"", opaque.escape_ascii());
        self.expect(what, move |frame| match frame {
            Frame::Ping(ping) if ping.ack && ping.opaque == opaque => Ok(()),
            other => Err(other),
        })
    }

    /// Expects WINDOW_UPDATE on the stream, 0 for the connection.
    #[track_caller]
    pub fn expect_window_update(&mut self, stream_id: u32) -> impl Future<Output = WindowUpdate> {
        self.expect(
            format!("WINDOW_UPDATE on stream {stream_id}"),
            move |frame| match frame {
                Frame::WindowUpdate(update) if update.stream_id == stream_id => Ok(update),
                other => Err(other),
            },
        )
    }

    /// Expects PRIORITY on the stream.
    #[track_caller]
    pub fn expect_priority(&mut self, stream_id: u32) -> impl Future<Output = Priority> {
        self.expect(
            format!("PRIORITY on stream {stream_id}"),
            move |frame| match frame {
                Frame::Priority(priority) if priority.stream_id == stream_id => Ok(priority),
                other => Err(other),
            },
        )
    }

    /// Expects PUSH_PROMISE on the stream.
    #[track_caller]
    pub fn expect_push_promise(&mut self, stream_id: u32) -> impl Future<Output = PushPromise> {
        self.expect(
            format!("PUSH_PROMISE on stream {stream_id}"),
            move |frame| match frame {
                Frame::PushPromise(promise) if promise.stream_id == stream_id => Ok(promise),
                other => Err(other),
            },
        )
    }

    /// Expects a frame of a type that RFC 9113 does not define.
    #[track_caller]
    pub fn expect_unknown(&mut self) -> impl Future<Output = RawFrame> {
        self.expect("a frame of an unknown type", |frame| match frame {
            Frame::Unknown(raw) => Ok(raw),
            other => Err(other),
        })
    }

    /// Expects a frame that breaks the rules of its type.
    #[track_caller]
    pub fn expect_malformed(&mut self) -> impl Future<Output = (RawFrame, Malformation)> {
        self.expect("a malformed frame", |frame| match frame {
            Frame::Malformed(raw, why) => Ok((raw, why)),
            other => Err(other),
        })
    }

    /// Expects the other side to close its direction in an orderly way, and to say nothing before.
    #[track_caller]
    pub fn expect_eof(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            match self.next_event().await {
                Event::Eof => {}
                other => self.fail(at, "the end of the connection", &other),
            }
        }
    }

    /// Expects the connection to end, orderly or not: what a sender sees of an endpoint that closes
    /// with octets unread depends on the kernel.
    #[track_caller]
    pub fn expect_closed(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            match self.next_event().await {
                Event::Eof | Event::Broken(_) => {}
                other => self.fail(at, "the end of the connection", &other),
            }
        }
    }

    /// Expects a connection error (RFC 9113 section 5.4.1): GOAWAY with this code, then the end of
    /// the connection. Frames before the GOAWAY are skipped.
    #[track_caller]
    pub fn expect_connection_error(&mut self, code: ErrorCode) -> impl Future<Output = GoAway> {
        let at = Location::caller();
        let deadline = Instant::now() + self.patience;
        async move {
            let goaway = loop {
                match self.event_before(deadline).await {
                    Event::Frame(Frame::GoAway(goaway)) if goaway.code == code => break goaway,
                    Event::Frame(Frame::GoAway(other)) => {
                        self.fail(at, &format!("GOAWAY {code}"), &other)
                    }
                    Event::Frame(_) => {}
                    end => self.fail(at, &format!("GOAWAY {code}"), &end),
                }
            };
            loop {
                match self.event_before(deadline).await {
                    Event::Eof | Event::Broken(_) => return goaway,
                    Event::Frame(_) => {}
                    Event::Nothing => self.fail(
                        at,
                        "the end of the connection after GOAWAY",
                        &Event::Nothing,
                    ),
                }
            }
        }
    }

    /// Asserts that the other side has sent nothing: sends a PING and expects its ACK as the next
    /// frame. An endpoint reads in order and acknowledges PINGs at once, so its responses to
    /// earlier frames would have come first. This takes no time.
    ///
    /// Frames from another task of the endpoint, such as a handler's reply, may still come later; a
    /// test of them must wait for another event first.
    #[track_caller]
    pub fn assert_silent_until_ping(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            self.pings += 1;
            let opaque = self.pings.to_be_bytes();
            let expected = Event::Frame(Frame::Ping(ping(opaque).ack()));
            if let Err(error) = self.try_send(ping(opaque)).await {
                self.fail(at, "a PING to be taken", &error);
            }
            let event = self.next_event().await;
            if event != expected {
                self.fail(at, "nothing but the ACK of its PING", &event);
            }
        }
    }
}
