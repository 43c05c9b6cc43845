//! The only place that says an address is allowed.

/// Which remote addresses may be used.
#[derive(Debug, Clone, Default)]
pub struct Policy {}
