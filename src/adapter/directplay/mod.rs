//! Games of the DirectPlay 4 generation in Wine (APPLICATIONS.md 5).

pub mod enumerate;
