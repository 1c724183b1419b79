//! The code of the fuzz targets. Each function takes arbitrary octets, checks the rules that hold
//! for any input, and panics if one does not hold.
//!
//! The module `runtime` is not here: it needs private parts of the crate `rgrpc`, which compiles it
//! as `rgrpc::fuzzing`.

pub mod choices;
pub mod http2;
