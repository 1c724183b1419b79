//! The methods of a service as functions of the service and the call's arguments.
//!
//! Called by [`ServerCall`](super::ServerCall), in the call's future.

use std::future::Future;

/// A method of a service, as generated code names it: the path of an `async fn` that takes the
/// service by reference, and the arguments of the call.
///
/// Implemented for functions of one and of two such arguments. A call's future then holds the
/// method's own and nothing around it.
pub trait Handler<'a, T: 'a, Args>: Send {
    /// The method's return type.
    type Output;
    /// The method's future.
    type Future: Future<Output = Self::Output> + Send + 'a;

    /// Calls the method.
    fn call(self, service: &'a T, args: Args) -> Self::Future;
}

impl<'a, T: 'a, A, F, Fut> Handler<'a, T, (A,)> for F
where
    F: FnOnce(&'a T, A) -> Fut + Send,
    Fut: Future + Send + 'a,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(self, service: &'a T, (a,): (A,)) -> Fut {
        self(service, a)
    }
}

impl<'a, T: 'a, A, B, F, Fut> Handler<'a, T, (A, B)> for F
where
    F: FnOnce(&'a T, A, B) -> Fut + Send,
    Fut: Future + Send + 'a,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(self, service: &'a T, (a, b): (A, B)) -> Fut {
        self(service, a, b)
    }
}
