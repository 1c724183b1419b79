//! The end of a call with interceptors, and the functions that are told of it.
//!
//! Used on the tasks of the call and of its interceptors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::time::Instant;

use crate::call::FinishHooks;
use crate::call::on_finish::OnFinish;
use crate::interceptor::{CallOutcome, EndHook, EndHooks};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;

/// The end of a call with a chain, and the hooks for it.
///
/// ```text
///  UNHOOKED ──on_end──► HOOKED ──the call ends──► OVER
///      └───────────────the call ends───────────────▲
/// ```
#[derive(Default)]
pub(crate) struct ChainEnd {
    /// One of the states above: calls without hooks take no lock.
    state: AtomicU8,
    hooks: Mutex<Option<Hooks>>,
}

const UNHOOKED: u8 = 0;
const HOOKED: u8 = 1;
const OVER: u8 = 2;

/// The hooks for the end of a call.
pub(super) struct Hooks {
    /// The time at which the first one was added: calls without hooks do not read the clock.
    began: Instant,
    hooks: EndHooks,
}

impl ChainEnd {
    /// Adds a hook for the end of the call. Returns false if the call is over.
    pub(crate) fn on_end(&self, hook: EndHook) -> bool {
        let begin = || Hooks {
            began: Instant::now(),
            hooks: EndHooks::default(),
        };
        let mut hooks = lock(&self.hooks);
        let before = self.state.load(Ordering::Acquire);
        if before == OVER {
            return false;
        }
        hooks.get_or_insert_with(begin).hooks.push(hook);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let hooked = || {
            let swapped = self
                .state
                .compare_exchange(UNHOOKED, HOOKED, success, failure);
            swapped.is_ok()
        };
        if before == HOOKED || hooked() {
            return true;
        }
        // The call has ended meanwhile, without hooks.
        let unused = hooks.take();
        drop(hooks);
        drop(unused);
        false
    }

    /// Adds the user's hooks for the end of a call.
    #[inline]
    pub(crate) fn on_finish(&self, hooks: Option<OnFinish>) {
        if hooks.is_some() {
            let hooks = FinishHooks::new(hooks);
            self.on_end(Box::new(|outcome| {
                hooks.call(outcome.status().map(|()| outcome.trailer()));
            }));
        }
    }

    pub(super) fn has_hooks(&self) -> bool {
        self.state.load(Ordering::Acquire) == HOOKED
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    #[inline]
    pub(super) fn end(&self, end: Result<&Metadata, &Status>) {
        if let Some(hooks) = self.close() {
            hooks.tell(end);
        }
    }

    /// The call is over: no hook is added any more. Returns the hooks that there are, once.
    #[inline]
    pub(super) fn close(&self) -> Option<Hooks> {
        match self.state.swap(OVER, Ordering::AcqRel) {
            HOOKED => lock(&self.hooks).take(),
            _ => None,
        }
    }
}

impl Hooks {
    pub(super) fn tell(self, end: Result<&Metadata, &Status>) {
        self.hooks.call(&CallOutcome::of_client(end, self.began));
    }
}
