//! The only place that starts a program.
//!
//! A [`Plan`] is complete before anything runs: program, argument vector, environment, how its
//! readiness shows and how it is ended. There is no shell anywhere. [`start`] puts the program into
//! a session of its own, with nothing of ours inherited but an allow-list of variables, and
//! the returned [`Program`] watches it, ends it by a ladder of ever firmer means, and ends the
//! whole group when it is dropped. Of the binary the kernel kills the program when we are killed, and a
//! process that stays behind for it kills what the program started.

mod confinement;
mod environment;
mod guard;
mod help;
mod leftovers;
mod output;
mod plan;
mod private_dir;
mod processes;
mod program;
mod ready;
mod watcher;

pub(crate) use confinement::at_home;
pub use confinement::{Confinement, Confines, can_confine, confine_nothing, confines};
pub use guard::{became_program, programs_die_with_us, programs_start_through};
pub use help::{help, names_option};
pub use leftovers::{programs_folder, reap_leftovers};
pub use plan::{Plan, Ready, Stop};
pub use private_dir::PrivateDir;
pub use program::{Exit, LaunchError, Program, start};
