//! Authorizes an attempt on the connection that it has picked: the authority of the call or of the pick,
//! and per-RPC credentials.
//!
//! Called by attempts of calls that have either, on the caller's task; credentials are users' code,
//! and run under no lock.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;

use super::authorized::Authorized;
use super::context::{AttemptContext, with_pick};
use crate::balancer::{has_authority, take_authority};
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::wait_reason::WaitReason;
use crate::client::conn::authority;
use crate::credentials::{ClientHandshake, RequestInfo, per_rpc};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::caught_status;

impl AttemptContext<'_> {
    /// Returns whether there is anything to [authorize](Self::authorize) on a connection that was picked
    /// with this metadata.
    #[inline]
    pub(in crate::client::call) fn needs_authorization(&self, of_pick: &Metadata) -> bool {
        self.call.authority().is_some() || self.has_credentials() || has_authority(of_pick)
    }

    fn has_credentials(&self) -> bool {
        let of_channel = &self.conn.settings().per_rpc_credentials;
        !of_channel.is_empty() || !self.call.credentials().is_empty()
    }

    /// Checks the authority of the call, or else that of the pick, against the connection, and asks the
    /// per-RPC credentials of the channel and of the call. `of_pick` is the picker's addition to
    /// `metadata`.
    ///
    /// Cancel-safe.
    pub(in crate::client::call) async fn authorize(
        &self,
        peer: &Peer,
        metadata: &Metadata,
        mut of_pick: Metadata,
    ) -> Result<Authorized, AttemptFailure> {
        let picked = take_authority(&mut of_pick);
        let headers = match (self.call.authority(), picked) {
            (Some(authority), _) => {
                let checked = self.check_authority("the call's authority", authority, peer);
                checked.map_err(AttemptFailure::final_here)?;
                None
            }
            (None, Some(authority)) => {
                let checked = self.check_authority("the authority of the pick", &authority, peer);
                // Another pick may have another one.
                checked.map_err(AttemptFailure::passing_here)?;
                let mut headers = Arc::clone(self.headers());
                Arc::make_mut(&mut headers).authority = authority;
                Some(headers)
            }
            (None, None) => None,
        };
        let own = with_pick(metadata, of_pick);
        if !self.has_credentials() {
            return Ok(Authorized {
                metadata: own,
                headers,
            });
        }
        let own = own.unwrap_or_else(|| metadata.clone());
        let metadata = {
            let authority = &headers.as_ref().unwrap_or_else(|| self.headers()).authority;
            let metadata = pin!(self.with_credentials(own, authority, peer));
            let reason = || WaitReason::Credentials;
            Some(self.recorder.during(metadata, reason).await?)
        };
        Ok(Authorized { metadata, headers })
    }

    fn check_authority(&self, whose: &str, authority: &str, peer: &Peer) -> Result<(), Status> {
        let refused = |problem: &dyn Display| {
            Status::unavailable(format!(
                "{whose} {authority:?} is not for {}: {problem}",
                peer.remote
            ))
        };
        let host = authority::host(authority).map_err(|problem| refused(&problem))?;
        let credentials = &self.conn.settings().credentials;
        caught_status("the check_host of the channel's credentials", || {
            let checked = credentials.check_host(host, peer);
            checked.map_err(|problem| refused(&problem))
        })
    }

    /// This metadata and that of all credentials.
    async fn with_credentials(
        &self,
        mut metadata: Metadata,
        authority: &str,
        peer: &Peer,
    ) -> Result<Metadata, AttemptFailure> {
        let settings = self.conn.settings();
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
