//! `msn-handoff generate`: completions for shells and man pages, made from the command line itself, so
//! that they say what `--help` says.

use std::{fs, path::PathBuf};

use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell as Known;

use super::Failure;

/// `msn-handoff generate`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a folder
    Man {
        /// The folder, made if it is missing
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// Those that the package and the tests know; the library knows more.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl From<Shell> for Known {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut command = super::Arguments::command();
    match &arguments.what {
        What::Completions { shell } => {
            let mut text = Vec::new();
            let name = command.get_name().to_owned();
            clap_complete::generate(Known::from(*shell), &mut command, name, &mut text);
            // For bash, clap_complete 4.6 writes the hyphen of a program's name in two ways, and then
            // knows the options of no verb.
            let text = String::from_utf8_lossy(&text);
            super::print(&text.replace("msn__subcmd__handoff", "msn__handoff"));
            Ok(())
        }
        What::Man { folder } => {
            // `help` repeats what the other pages say.
            command = command.disable_help_subcommand(true);
            fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
        }
    }
}
