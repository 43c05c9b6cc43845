//! Bridge files.

/// One application's description.
#[derive(Debug)]
pub struct Bridge {}
