//! One way to hand an application over: which program, with what, and whether it can run here.

use std::{
    collections::BTreeMap,
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
    /// Variables of which at least one must be set.
    pub requires_any_env: Vec<String>,
    /// Files that must exist.
    pub requires_files: Vec<Template>,
    /// What shows readiness.
    pub ready: ReadyRule,
    /// How long that may take.
    pub ready_within: Duration,
    /// How it is ended.
    pub stop: Stop,
}

/// Why a handoff cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The program is not installed.
    #[error("{0} is not installed")]
    Program(String),
    /// None of the variables is set.
    #[error("{0} is not set")]
    Environment(String),
    /// A file does not exist.
    #[error("{0} does not exist")]
    File(String),
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
        if let Some(program) = self.program() {
            find(program)?;
        }
        if !self.requires_any_env.is_empty()
            && !self
                .requires_any_env
                .iter()
                .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return Err(Missing::Environment(self.requires_any_env.join(" or ")));
        }
        let values = self.paths(Values::default())?;
        for file in &self.requires_files {
            let path = file
                .expand(&values)
                .map_err(|error| Missing::File(error.to_string()))?;
            if !Path::new(&path).exists() {
                return Err(Missing::File(path));
            }
        }
        Ok(())
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
        let program = find(program)?;
        let mut values = self.paths(values.clone())?;
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

    /// Adds `{path.NAME}` for each entry of `paths`.
    fn paths(&self, mut values: Values) -> Result<Values, Missing> {
        for (name, candidates) in &self.paths {
            let found = candidates
                .iter()
                .find(|path| path.exists())
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

/// Finds a program in `PATH`, or where Debian keeps games.
fn find(program: &str) -> Result<PathBuf, Missing> {
    which::which(program)
        .or_else(|_| which::which_in(program, Some("/usr/games"), "/"))
        .map_err(|_| Missing::Program(program.to_owned()))
}
