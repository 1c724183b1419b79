//! What the fuzz targets run. Each function takes arbitrary octets, returns when all that has to hold
//! for any input held, and panics when something did not.
//!
//! The module `runtime` is not here: it needs private parts of the crate `rgrpc`, which compiles it as
//! `rgrpc::fuzzing`.

pub mod choices;
pub mod http2;
