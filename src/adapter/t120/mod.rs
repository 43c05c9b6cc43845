//! x
mod call;
/// x
pub async fn run(_task: super::Task) {}
