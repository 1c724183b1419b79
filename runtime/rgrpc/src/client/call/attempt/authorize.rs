//! Authorizes an attempt on the connection that it has picked: the call's authority and its per-RPC
//! credentials.
//!
//! Called by attempts of calls that have either, on the caller's task; credentials are users' code,
//! and run under no lock.

use std::fmt::Display;
use std::pin::pin;

use super::context::{AttemptContext, with_pick};
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::wait_reason::WaitReason;
use crate::client::conn::authority;
use crate::credentials::{ClientHandshake, RequestInfo, per_rpc};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;

impl AttemptContext<'_> {
    /// Returns whether there is anything to [authorize](Self::authorize).
    pub(in crate::client::call) fn needs_authorization(&self) -> bool {
        self.call.authority().is_some() || self.has_credentials()
    }

    fn has_credentials(&self) -> bool {
        let of_channel = &self.conn.settings().per_rpc_credentials;
        !of_channel.is_empty() || !self.call.credentials().is_empty()
    }

    /// Checks the call's authority against the connection, and asks the per-RPC credentials of the
    /// channel and of the call; returns the request's metadata if that is not `metadata`: `of_pick` is
    /// the picker's addition to it.
    ///
    /// Cancel-safe.
    pub(in crate::client::call) async fn authorize(
        &self,
        peer: &Peer,
        metadata: &Metadata,
        of_pick: Metadata,
    ) -> Result<Option<Metadata>, AttemptFailure> {
        if let Some(authority) = self.call.authority() {
            self.check_authority(authority, peer)
                .map_err(AttemptFailure::final_here)?;
        }
        let own = with_pick(metadata, of_pick);
        if !self.has_credentials() {
            return Ok(own);
        }
        let own = own.unwrap_or_else(|| metadata.clone());
        let metadata = pin!(self.with_credentials(own, peer));
        let reason = || WaitReason::Credentials;
        self.recorder.during(metadata, reason).await.map(Some)
    }

    fn check_authority(&self, authority: &str, peer: &Peer) -> Result<(), Status> {
        let refused = |problem: &dyn Display| {
            Status::unavailable(format!(
                "the call's authority {authority:?} is not for {}: {problem}",
                peer.remote
            ))
        };
        let host = authority::host(authority).map_err(|problem| refused(&problem))?;
        let credentials = &self.conn.settings().credentials;
        let checked = credentials.check_host(host, peer);
        checked.map_err(|problem| refused(&problem))
    }

    /// This metadata and that of all credentials.
    async fn with_credentials(
        &self,
        mut metadata: Metadata,
        peer: &Peer,
    ) -> Result<Metadata, AttemptFailure> {
        let settings = self.conn.settings();
        let authority = self.call.authority().unwrap_or(&settings.headers.authority);
        let request = RequestInfo::new(self.method, authority, peer);
        let all = [&*settings.per_rpc_credentials, self.call.credentials()];
        for credentials in all {
            per_rpc::check_security_level(credentials, peer).map_err(AttemptFailure::final_here)?;
        }
        for credentials in all {
            let added = per_rpc::add_metadata(credentials, request, &mut metadata).await;
            added.map_err(AttemptFailure::passing_here)?;
        }
        Ok(metadata)
    }
}
