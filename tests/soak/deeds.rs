//! What really happened, counted: a run in which no call was ever up proves nothing.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
pub(crate) struct Deeds(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Deeds {
    pub(crate) fn did(&self, what: &'static str) {
        *self.0.lock().unwrap().entry(what).or_insert(0) += 1;
    }

    /// These must have been done.
    pub(crate) fn must(&self, all: &[&str]) {
        let done = self.0.lock().unwrap();
        let missing: Vec<_> = all.iter().filter(|it| !done.contains_key(**it)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

impl fmt::Display for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &*self.0.lock().unwrap() {
            writeln!(f, "{count:6}  {what}")?;
        }
        Ok(())
    }
}
