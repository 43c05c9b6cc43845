//! One way to hand an application over: which program, with what, and whether it can run here.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{AdapterKind, Template, TemplateError, Value, Values};
use crate::{
    launch::{Plan, PrivateDir, Ready, Stop},
    negotiation::Role,
};

/// What part of a session a handoff takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// The session itself; for a call, its signalling and its sound.
    #[default]
    Session,
    /// The picture of a call, split off from it.
    Video,
}

/// What shows that the program is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyRule {
    /// Its start.
    Started,
    /// It answers SIP OPTIONS at `agent`.
    Sip,
    /// It prints a line with this text.
    Output(String),
    /// It listens on this TCP address.
    Tcp(Template),
    /// It has bound this UDP address.
    Udp(Template),
}

/// One way to hand over.
#[derive(Debug, Clone)]
pub struct Handoff {
    /// What people call it.
    pub name: String,
    /// The behaviour in code that drives it.
    pub adapter: AdapterKind,
    /// The role it is for; both without one.
    pub role: Option<Role>,
    /// What it takes.
    pub medium: Medium,
    /// No program at all: the adapter's own fallback.
    pub builtin: bool,
    /// Program and arguments. Empty when the program already runs or is built in.
    pub run: Vec<Template>,
    /// SIP URI of the agent that takes the call.
    pub agent: Option<Template>,
    /// Variables of the program.
    pub env: Vec<(String, Template)>,
    /// Folders to make in the private folder before the start.
    pub dirs: Vec<PathBuf>,
    /// Files to write into the private folder: name and contents.
    pub files: Vec<(String, Template)>,
    /// `{path.NAME}`: the first of these that exists.
    pub paths: BTreeMap<String, Vec<PathBuf>>,
    /// What must be there besides the program.
    pub requires: Requires,
    /// What shows readiness.
    pub ready: ReadyRule,
    /// How long that may take.
    pub ready_within: Duration,
    /// How it is ended.
    pub stop: Stop,
}

/// What a handoff needs besides its program.
#[derive(Debug, Clone, Default)]
pub struct Requires {
    /// Programs that it starts itself.
    pub programs: Vec<String>,
    /// Files that must exist, all of them.
    pub files: Vec<Template>,
    /// Variables of which one must be set, unless one of `any_files` exists.
    pub any_env: Vec<String>,
    /// Files of which one must exist, unless one of `any_env` is set.
    pub any_files: Vec<Template>,
}

/// The machine that is asked whether a handoff can run on it.
pub(super) trait Machine {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// Where a program is.
    fn program(&self, name: &str) -> Option<PathBuf>;
    /// Whether a file, a folder or a socket is there.
    fn exists(&self, path: &Path) -> bool;
}

/// This one.
struct Here;

impl Machine for Here {
    fn variable(&self, name: &str) -> Option<OsString> {
        env::var_os(name).filter(|value| !value.is_empty())
    }

    /// `PATH` without what it says of the current folder, then where Debian keeps games.
    fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        let folders = env::split_paths(&path)
            .chain(["/usr/local/games".into(), "/usr/games".into()])
            .filter(|folder| folder.is_absolute());
        let path = env::join_paths(folders).ok()?;
        which::which_in(name, Some(path), "/").ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// Why a handoff cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The program is not installed.
    #[error("{0} is not installed")]
    Program(String),
    /// A file does not exist.
    #[error("{0} does not exist")]
    File(String),
    /// None of the alternatives is there: no display, no sound.
    #[error("there is neither {}", .0.join(" nor "))]
    All(Vec<String>),
}

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Something is not there.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A placeholder or a value is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A file for the program could not be written.
    #[error("cannot write {name} for the program: {source}")]
    Write {
        /// Which file or folder.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// What should be an address is not.
    #[error("{0:?} is no address with a port")]
    Address(String),
}

impl Handoff {
    /// Whether it can run here.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn fits(&self) -> Result<(), Missing> {
        self.fits_on(&Here)
    }

    pub(super) fn fits_on(&self, machine: &impl Machine) -> Result<(), Missing> {
        let programs = self.requires.programs.iter().map(String::as_str);
        for program in self.program().into_iter().chain(programs) {
            find(machine, program)?;
        }
        let values = self.paths(machine, Values::default())?;
        let file = |template: &Template| template.expand(&values);
        for template in &self.requires.files {
            let path = file(template).map_err(|error| Missing::File(error.to_string()))?;
            if !machine.exists(Path::new(&path)) {
                return Err(Missing::File(path));
            }
        }
        let Requires {
            any_env, any_files, ..
        } = &self.requires;
        let is_there = any_env.is_empty() && any_files.is_empty()
            || any_env.iter().any(|name| machine.variable(name).is_some())
            || any_files
                .iter()
                .any(|it| file(it).is_ok_and(|path| machine.exists(Path::new(&path))));
        if is_there {
            return Ok(());
        }
        let variables = any_env.iter().map(|name| format!("${name}"));
        let files = any_files.iter().map(Template::to_string);
        Err(Missing::All(variables.chain(files).collect()))
    }

    /// The program's name or path.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.run.first().and_then(Template::literal)
    }

    /// Everything needed to start the program; its files are written. `None` when there is no
    /// program to start.
    ///
    /// # Errors
    /// When a value or a file is missing.
    pub fn plan(&self, values: &Values, dir: &PrivateDir) -> Result<Option<Plan>, PlanError> {
        let Some(program) = self.program() else {
            return Ok(None);
        };
        let program = find(&Here, program)?;
        let mut values = self.paths(&Here, values.clone())?;
        values.set("dir", Value::Path(dir.path().to_owned()));
        for (name, _) in &self.files {
            values.set(&format!("file.{name}"), Value::Path(dir.path().join(name)));
        }
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| PlanError::Write { name, source }
        };
        for folder in &self.dirs {
            dir.make_dir(folder)
                .map_err(failed(&folder.display().to_string()))?;
        }
        for (name, contents) in &self.files {
            let contents = contents.expand(&values)?;
            dir.write(Path::new(name), contents.as_bytes())
                .map_err(failed(name))?;
        }
        let args = self
            .run
            .iter()
            .skip(1)
            .map(|argument| argument.expand(&values).map(OsString::from))
            .collect::<Result<_, _>>()?;
        let env = self
            .env
            .iter()
            .map(|(name, value)| Ok((name.into(), value.expand(&values)?.into())))
            .collect::<Result<_, TemplateError>>()?;
        let address = |template: &Template| {
            let text = template.expand(&values)?;
            text.parse().map_err(|_| PlanError::Address(text))
        };
        let ready = match &self.ready {
            ReadyRule::Started | ReadyRule::Sip => Ready::Started,
            ReadyRule::Output(text) => Ready::Output(text.clone()),
            ReadyRule::Tcp(at) => Ready::Tcp(address(at)?),
            ReadyRule::Udp(at) => Ready::Udp(address(at)?),
        };
        Ok(Some(Plan {
            name: self.name.clone(),
            program,
            args,
            env,
            dir: Some(dir.path().to_owned()),
            ready,
            ready_within: self.ready_within,
            stop: self.stop.clone(),
        }))
    }

    /// Adds `{path.NAME}` for each entry of `paths`, and `{runtime}`.
    fn paths(&self, machine: &impl Machine, mut values: Values) -> Result<Values, Missing> {
        if let Some(runtime) = machine.variable("XDG_RUNTIME_DIR") {
            values.set("runtime", Value::Path(runtime.into()));
        }
        for (name, candidates) in &self.paths {
            let found = candidates
                .iter()
                .find(|path| machine.exists(path))
                .ok_or_else(|| {
                    let all: Vec<String> = candidates
                        .iter()
                        .map(|path| path.display().to_string())
                        .collect();
                    Missing::File(all.join(" or "))
                })?;
            values.set(&format!("path.{name}"), Value::Path(found.clone()));
        }
        Ok(values)
    }
}

fn find(machine: &impl Machine, program: &str) -> Result<PathBuf, Missing> {
    machine
        .program(program)
        .ok_or_else(|| Missing::Program(program.to_owned()))
}
