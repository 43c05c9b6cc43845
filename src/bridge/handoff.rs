//! One way to hand an application over: which program, with what, and whether it can run here.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::{OsStr, OsString},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{AdapterKind, Ports, Template, TemplateError, Value, Values};
use crate::{
    launch::{self, Confinement, Plan, PrivateDir, Ready, Stop},
    media::sdp::Format,
    negotiation::Role,
    shown,
    wine::{Game, Wanted},
};

/// The longest text of a file's that is told to be missing, in characters.
const LONGEST: usize = 400;

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

/// How the peer's program is looked for before ours is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// A TCP connection to its port, closed at once.
    Tcp,
}

/// Who owns the port that the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// We do, and stand between the peer and a program on the loopback address.
    Gate,
    /// The program does, or nobody: it connects to the peer.
    Direct,
}

/// How much a recording may hold. What comes first ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Length of the file of packets.
    pub bytes: u64,
    /// TCP connections in all.
    pub connections: u16,
    /// From the first to the last of it.
    pub time: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            connections: 64,
            time: Duration::from_secs(3600),
        }
    }
}

/// Ports that are watched beside the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum Watched {
    /// NetMeeting's: calls while ours is not made, and T.120.
    #[serde(rename = "netmeeting")]
    NetMeeting,
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
    /// Groups of further arguments, each added only when all its placeholders have a value.
    pub optional: Vec<Vec<Template>>,
    /// The folder it is started in; its private folder without one.
    pub start_in: Option<Template>,
    /// Where the other side's game may be (what they mean is the adapter's affair).
    pub ports: Ports,
    /// The protocol numbers of a game it can join; any without one.
    pub protocols: Vec<u32>,
    /// What payload types without a coding of their own mean to a player.
    pub formats: Vec<Format>,
    /// The Windows game that it starts; it cannot run where there is none.
    pub wine: Option<Wanted>,
    /// Where `ports` are forwarded to, or connections handed to.
    pub to: Option<Ipv4Addr>,
    /// The port there, where one is written.
    pub to_port: Option<u16>,
    /// What the other person gets to see: with it, accepting is never left to a rule.
    pub shares: Option<String>,
    /// How long a forwarded port, or one that is recorded, may be silent.
    pub idle: Duration,
    /// How much a recording may hold.
    pub keep: Keep,
    /// How long the peer's program is left to begin before ours calls.
    pub wait: Duration,
    /// How the peer's program is looked for before ours calls; not at all without one.
    pub probe: Option<Probe>,
    /// How long it is looked for.
    pub probe_within: Duration,
    /// Who owns the port that the peer is told.
    pub way: Way,
    /// Where its program may read and write besides its own folder, if it is confined.
    pub confined: Option<Vec<PathBuf>>,
    /// What is watched beside it.
    pub watch: Option<Watched>,
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
    /// Options that its program must know, by its own `--help`.
    pub help: Vec<String>,
    /// Files that must exist, all of them.
    pub files: Vec<Template>,
    /// Variables of which one must be set, unless one of `any_files` exists.
    pub any_env: Vec<String>,
    /// Files of which one must exist, unless one of `any_env` is set.
    pub any_files: Vec<Template>,
    /// What these two are about, in a word: `sound`, `display`.
    pub any_what: Option<String>,
}

/// The machine that is asked whether a handoff can run on it.
pub(super) trait Machine {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// Where a program is.
    fn program(&self, name: &str) -> Option<PathBuf>;
    /// Whether a file, a folder or a socket is there.
    fn exists(&self, path: &Path) -> bool;
    /// What a program says of its options.
    fn help(&self, program: &Path) -> Arc<str>;
    /// A Windows game in a prefix of Wine's.
    fn game(&self, wanted: &Wanted) -> Option<Game>;
}

/// This one.
struct Here;

impl Machine for Here {
    fn variable(&self, name: &str) -> Option<OsString> {
        env::var_os(name).filter(|value| !value.is_empty())
    }

    /// `PATH` without what it says of the current folder, then where Debian keeps games.
    fn program(&self, name: &str) -> Option<PathBuf> {
        let path = env::join_paths(folders(&self.variable("PATH").unwrap_or_default())).ok()?;
        which::which_in(name, Some(path), "/").ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn help(&self, program: &Path) -> Arc<str> {
        launch::help(program)
    }

    fn game(&self, wanted: &Wanted) -> Option<Game> {
        wanted.find()
    }
}

/// The folders of a `PATH`. What it says of the current folder is left out: who can write there
/// would choose the program.
fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    env::split_paths(path)
        .chain(["/usr/local/games".into(), "/usr/games".into()])
        .filter(|folder| folder.is_absolute())
}

/// Why a handoff cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The program is not installed.
    #[error("{} is not installed", clean(.0))]
    Program(String),
    /// The program that is installed has no such option.
    #[error("the {program} that is installed has no option {}", clean(option))]
    Option {
        /// The program.
        program: String,
        /// What its `--help` does not name.
        option: String,
    },
    /// A file does not exist.
    #[error("{} does not exist", clean(.0))]
    File(String),
    /// A Windows game is not in the prefix.
    #[error("{} was not found", clean(.0))]
    Game(String),
    /// None of the alternatives is there: no display, no sound.
    #[error("there is no {what} here: neither {}", clean(&alternatives.join(" nor ")))]
    All {
        /// What it is about.
        what: String,
        /// All of them.
        alternatives: Vec<String>,
    },
}

/// A bridge file named it, and it is read in a terminal and in the chat window.
fn clean(text: &str) -> String {
    shown::line(text, LONGEST)
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
        self.knows_options(machine)?;
        let values = self.paths(machine, Values::default())?;
        let file = |template: &Template| template.expand(&values);
        for template in &self.requires.files {
            let path = file(template).map_err(|error| Missing::File(error.to_string()))?;
            if !machine.exists(Path::new(&path)) {
                return Err(Missing::File(path));
            }
        }
        let Requires {
            any_env,
            any_files,
            any_what,
            ..
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
        let shown = |it: &Template| it.to_string().replace("{runtime}", "$XDG_RUNTIME_DIR");
        let files = any_files.iter().map(shown);
        Err(Missing::All {
            what: any_what
                .clone()
                .unwrap_or_else(|| "place for it".to_owned()),
            alternatives: variables.chain(files).collect(),
        })
    }

    /// Whether its program knows the options that it will be given.
    fn knows_options(&self, machine: &impl Machine) -> Result<(), Missing> {
        let (Some(program), false) = (self.program(), self.requires.help.is_empty()) else {
            return Ok(());
        };
        let help = machine.help(&find(machine, program)?);
        let unknown = |option: &&String| !launch::names_option(&help, option);
        match self.requires.help.iter().find(unknown) {
            None => Ok(()),
            Some(option) => Err(Missing::Option {
                program: program.to_owned(),
                option: option.clone(),
            }),
        }
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
        let mut args = self
            .run
            .iter()
            .skip(1)
            .map(|argument| argument.expand(&values).map(OsString::from))
            .collect::<Result<Vec<_>, _>>()?;
        for group in &self.optional {
            let more: Result<Vec<_>, _> = group.iter().map(|text| text.expand(&values)).collect();
            match more {
                Ok(more) => args.extend(more.into_iter().map(OsString::from)),
                Err(TemplateError::NoValue(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let start_in = match &self.start_in {
            Some(folder) => PathBuf::from(folder.expand(&values)?),
            None => dir.path().to_owned(),
        };
        let mut env = self
            .env
            .iter()
            .map(|(name, value)| Ok((name.into(), value.expand(&values)?.into())))
            .collect::<Result<Vec<_>, TemplateError>>()?;
        let confined = self.confined.as_ref().map(|reach| {
            // The usual one is not for it.
            env.push(("TMPDIR".into(), dir.path().into()));
            let reach = reach.iter().map(|path| reached(&Here, path));
            Confinement {
                reads: self.named_paths(&values),
                writes: vec![dir.path().to_owned()],
                folders: reach.collect(),
                start_in: Some(start_in.clone()),
            }
        });
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
            dir: Some(start_in),
            confined,
            ready,
            ready_within: self.ready_within,
            stop: self.stop.clone(),
        }))
    }

    /// The paths that its program is told, and those that `paths` found. Not `{runtime}`: it is what all
    /// programs of the session have in common.
    fn named_paths(&self, values: &Values) -> Vec<PathBuf> {
        let env = self.env.iter().map(|(_, value)| value);
        let files = self.files.iter().map(|(_, contents)| contents);
        let templates = self.run.iter().chain(self.optional.iter().flatten());
        let templates = templates.chain(&self.agent).chain(env).chain(files);
        let own = self.paths.keys().map(|name| format!("path.{name}"));
        let mut names: BTreeSet<String> = templates
            .flat_map(Template::placeholders)
            .map(str::to_owned)
            .chain(own)
            .collect();
        names.remove("runtime");
        let paths = names.iter().filter_map(|name| values.path(name));
        paths.map(Path::to_owned).collect()
    }

    /// Adds `{path.NAME}` for each entry of `paths`, `{runtime}`, and what is known of the Windows
    /// game.
    fn paths(&self, machine: &impl Machine, mut values: Values) -> Result<Values, Missing> {
        if let Some(runtime) = machine.variable("XDG_RUNTIME_DIR") {
            values.set("runtime", Value::Path(runtime.into()));
        }
        for (name, candidates) in &self.paths {
            let found = candidates
                .iter()
                .map(|path| at_home(machine, path))
                .find(|path| machine.exists(path))
                .ok_or_else(|| {
                    let all: Vec<String> = candidates
                        .iter()
                        .map(|path| path.display().to_string())
                        .collect();
                    Missing::File(all.join(" or "))
                })?;
            values.set(&format!("path.{name}"), Value::Path(found));
        }
        if let Some(wanted) = &self.wine {
            let game = machine.game(wanted);
            let game = game.ok_or_else(|| Missing::Game(wanted.describe()))?;
            values.set("game.exe", Value::Path(game.program));
            values.set("game.dir", Value::Path(game.folder));
            values.set("wine.prefix", Value::Path(game.prefix));
            if let Some(guid) = game.guid.and_then(|guid| guid.bytes()) {
                values.set("game.guid", Value::Guid(guid));
            }
        }
        Ok(values)
    }
}

/// A path that begins with `~/`.
fn at_home(machine: &impl Machine, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), machine.variable("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// The same for `reach`, where the program itself goes by the variables that say where its settings are.
fn reached(machine: &impl Machine, path: &Path) -> PathBuf {
    let variable = |name: &str| machine.variable(name);
    let home = path.strip_prefix("~").ok();
    home.and_then(|name| launch::at_home(name, variable))
        .unwrap_or_else(|| path.to_owned())
}

/// Where a program of this machine is, as for a bridge.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    Here.program(program)
}

fn find(machine: &impl Machine, program: &str) -> Result<PathBuf, Missing> {
    machine
        .program(program)
        .ok_or_else(|| Missing::Program(program.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::{Bridge, Origin, Reading, Registry, manifest, source::Source};

    /// A machine of our making: the programs, files and variables it has.
    #[derive(Default)]
    struct Imagined(BTreeSet<&'static str>);

    impl Machine for Imagined {
        fn variable(&self, name: &str) -> Option<OsString> {
            let value = match name {
                "HOME" => "/home/u",
                "XDG_CONFIG_HOME" => "/config",
                "XDG_RUNTIME_DIR" => "/run/user/7",
                _ => "set",
            };
            self.0.contains(name).then(|| value.into())
        }

        fn program(&self, name: &str) -> Option<PathBuf> {
            let found = self.0.contains(name);
            found.then(|| Path::new("/usr/bin").join(name))
        }

        fn exists(&self, path: &Path) -> bool {
            self.0.contains(path.to_str().unwrap())
        }

        fn help(&self, _: &Path) -> Arc<str> {
            let options: Vec<&str> = self.0.iter().copied().collect();
            options.join("\n").into()
        }

        fn game(&self, wanted: &Wanted) -> Option<Game> {
            let program = PathBuf::from(wanted.programs.first()?.replace('\\', "/"));
            self.exists(&program).then(|| Game {
                prefix: "/prefix".into(),
                folder: program.parent().unwrap().to_owned(),
                program,
                guid: wanted.guids.first().copied(),
            })
        }
    }

    fn bridge(handoff: &str) -> Bridge {
        let text = format!(
            "id = \"x\"\nname = \"x\"\nguids = [\"{{00000000-1111-2222-3333-444444444444}}\"]\n\
             announce = \"x\"\n[negotiation]\n[[handoff]]\nname = \"it\"\nadapter = \"sip\"\n{handoff}"
        );
        let source = Source::new(Path::new("x.toml"), &text);
        match manifest::read(&source, Origin::BuiltIn) {
            Ok(Reading::Bridge(bridge)) => *bridge,
            other => panic!("{other:?}"),
        }
    }

    fn handoff(text: &str) -> Handoff {
        bridge(text).handoffs.remove(0)
    }

    #[test]
    fn what_is_missing_is_named() {
        let full = "run = [\"phone\"]\n\
            requires = { programs = [\"wine\"], files = [\"{path.lib}/x.so\"], any-env = [\"DISPLAY\"], any-files = [\"{runtime}/pulse\"] }\n\
            paths.lib = [\"/a\", \"/b\"]\n";
        for (text, machine, missing) in [
            ("builtin = true", &[][..], None),
            ("agent = \"sip:me@127.0.0.1:5060\"", &[], None),
            ("run = [\"phone\"]", &["phone"], None),
            ("run = [\"phone\"]", &[], Some("phone is not installed")),
            (full, &["phone"], Some("wine is not installed")),
            (full, &["phone", "wine"], Some("/a or /b does not exist")),
            (
                full,
                &["phone", "wine", "/b"],
                Some("/b/x.so does not exist"),
            ),
            (
                "run = [\"phone\", \"--callto\"]\nrequires.help = [\"-c\", \"--callto\"]\n",
                &["phone", "-c", "--call"],
                Some("the phone that is installed has no option --callto"),
            ),
            (
                full,
                &["phone", "wine", "/b", "/b/x.so"],
                Some("there is no place for it here: neither $DISPLAY nor $XDG_RUNTIME_DIR/pulse"),
            ),
            // What a stranger's file names is read in a terminal.
            (
                "run = [\"phone\"]\nrequires.help = [\"-\\u001b[2J\"]\n",
                &["phone"],
                Some("the phone that is installed has no option - [2J"),
            ),
            (
                "run = [\"phone\"]\nrequires.files = [\"/a\\u202e\\u001b[2J\"]\n",
                &["phone"],
                Some("/a [2J does not exist"),
            ),
            (full, &["phone", "wine", "/b", "/b/x.so", "DISPLAY"], None),
            (
                full,
                &[
                    "phone",
                    "wine",
                    "/b",
                    "/b/x.so",
                    "XDG_RUNTIME_DIR",
                    "/run/user/7/pulse",
                ],
                None,
            ),
            (
                full,
                &["phone", "wine", "/b", "/b/x.so", "/run/user/7/pulse"],
                Some("there is no place for it here: neither $DISPLAY nor $XDG_RUNTIME_DIR/pulse"),
            ),
        ] {
            let machine = Imagined(machine.iter().copied().collect());
            let told = handoff(text).fits_on(&machine).err();
            assert_eq!(
                told.map(|missing| missing.to_string()).as_deref(),
                missing,
                "{text}"
            );
        }
    }

    #[test]
    fn no_program_is_taken_from_the_current_folder() {
        let found: Vec<PathBuf> = folders(OsStr::new("/bin::.:bin:/usr/bin:")).collect();
        let absolute = ["/bin", "/usr/bin", "/usr/local/games", "/usr/games"];
        assert_eq!(found, absolute.map(PathBuf::from));
    }

    #[test]
    fn a_plan_is_complete_and_its_files_are_written() {
        let handoff = handoff(
            "run = [\"true\", \"-c\", \"{file.rc}\"]\nenv = { HOME = \"{dir}\" }\ndirs = [\".local/share/x\"]\n\
             files.rc = \"port={agent.port}\\n\"\nready = { udp = \"127.0.0.1:{agent.port}\" }\nready-within = 4\n\
             stop = { words = \"quit\\n\", grace = 3 }\n",
        );
        let dir = PrivateDir::new().unwrap();
        let values = Values::default().with("agent.port", Value::Port(5070));
        let plan = handoff.plan(&values, &dir).unwrap().unwrap();
        let rc = dir.path().join("rc");
        assert_eq!(plan.name, "it");
        assert!(plan.program.is_absolute());
        assert_eq!(plan.args, ["-c".into(), rc.clone().into_os_string()]);
        assert_eq!(plan.env, [("HOME".into(), dir.path().into())]);
        assert_eq!(plan.dir.as_deref(), Some(dir.path()));
        assert_eq!(plan.ready, Ready::Udp("127.0.0.1:5070".parse().unwrap()));
        assert_eq!(plan.ready_within, Duration::from_secs(4));
        assert_eq!(plan.stop.words.as_deref(), Some("quit\n"));
        assert_eq!(std::fs::read_to_string(rc).unwrap(), "port=5070\n");
        assert!(dir.path().join(".local/share/x").is_dir());
    }

    #[test]
    fn a_confined_program_reads_what_it_is_told_and_not_all_of_the_session() {
        let handoff = handoff(
            "run = [\"true\", \"{sdp}\", \"{runtime}/pulse/native\"]\nconfine = true\n\
             reach = [\"/somewhere\"]\nstart-in = \"/usr\"\npaths.lib = [\"/bin\"]\n",
        );
        let dir = PrivateDir::new().unwrap();
        let values = Values::default()
            .with("runtime", Value::Path("/run/user/7".into()))
            .with("sdp", Value::Path("/tmp/sdp".into()))
            .with("ticket", Value::Path("/tmp/ticket".into()));
        let plan = handoff.plan(&values, &dir).unwrap().unwrap();
        let expected = Confinement {
            reads: vec!["/bin".into(), "/tmp/sdp".into()],
            writes: vec![dir.path().to_owned()],
            folders: vec!["/somewhere".into()],
            start_in: Some("/usr".into()),
        };
        assert_eq!(plan.confined, Some(expected));
        assert_eq!(plan.env, [("TMPDIR".into(), dir.path().into())]);
    }

    #[test]
    fn what_is_reached_follows_the_variables_that_programs_follow() {
        let machine = Imagined(["HOME", "XDG_RUNTIME_DIR"].into());
        let elsewhere = Imagined(["HOME", "XDG_CONFIG_HOME"].into());
        for (machine, path, found) in [
            (&machine, "~/.config/x", "/home/u/.config/x"),
            (&elsewhere, "~/.config/x", "/config/x"),
            (&elsewhere, "~/.cache/x", "/home/u/.cache/x"),
            (&elsewhere, "/x", "/x"),
        ] {
            assert_eq!(reached(machine, Path::new(path)), Path::new(found));
        }
    }

    #[test]
    fn a_value_that_would_begin_a_line_in_a_file_is_refused() {
        let handoff = handoff("run = [\"true\"]\nfiles.rc = \"play={sdp}\\n\"\n");
        let dir = PrivateDir::new().unwrap();
        let values = Values::default().with("sdp", Value::Path("/a\nrun=x".into()));
        let error = handoff.plan(&values, &dir).unwrap_err().to_string();
        assert_eq!(error, "the value of {sdp} holds a control character");
    }

    #[test]
    fn a_group_of_arguments_is_added_when_all_it_needs_is_known() {
        let handoff = handoff(
            "run = [\"true\", \"a\"]\nstart-in = \"/usr\"\n\
             optional = [[\"+set\", \"fs_game\", \"{game.mod}\"], [\"-p\", \"{peer.port}\"]]\n",
        );
        let arguments = |values: &Values| {
            let plan = handoff.plan(values, &PrivateDir::new().unwrap()).unwrap();
            let plan = plan.unwrap();
            assert_eq!(plan.dir, Some(PathBuf::from("/usr")));
            plan.args
        };
        let values = Values::default().with("peer.port", Value::Port(7));
        assert_eq!(arguments(&Values::default()), ["a"]);
        assert_eq!(arguments(&values), ["a", "-p", "7"]);
        let values = values.with("game.mod", Value::plain_name("mod", "japlus").unwrap());
        assert_eq!(
            arguments(&values),
            ["a", "+set", "fs_game", "japlus", "-p", "7"]
        );
    }

    #[test]
    fn every_argument_vector_we_ship() {
        let mut vectors = String::new();
        for bridge in Registry::load(&[]).unwrap().iter() {
            for handoff in bridge.handoffs.iter().filter(|it| !it.run.is_empty()) {
                let run: Vec<String> = handoff.run.iter().map(Template::to_string).collect();
                vectors.push_str(&format!(
                    "{} / {}:\n  {}\n",
                    bridge.application.id,
                    handoff.name,
                    run.join("\n  ")
                ));
                for text in handoff.optional.iter().flatten() {
                    vectors.push_str(&format!("  [{text}]\n"));
                }
            }
        }
        insta::assert_snapshot!(vectors);
    }

    /// A template of one argument, and whether a value stands in it.
    const ARGUMENTS: &[(&str, bool)] = &[
        ("--", false),
        ("-c", false),
        ("{peer}", true),
        ("{peer.ip}", true),
        ("sip:x@{peer.ip}:{peer.port};transport=tcp", true),
        ("{{peer}}", false),
        ("", false),
    ];

    proptest! {
        // ANCHORS.md E.3 row 1.
        #[test]
        fn nothing_a_peer_says_makes_or_changes_an_argument(
            ip in any::<[u8; 4]>(),
            port in any::<u16>(),
            handle in prop_oneof![".{0,140}", "[ -~]{0,40}", "-{0,2}[a-z;|&$`'\"\\\\]{0,9}@x"],
            chosen in proptest::collection::vec(0..ARGUMENTS.len(), 0..8),
        ) {
            let chosen: Vec<_> = chosen.into_iter().map(|at| ARGUMENTS[at]).collect();
            let run: Vec<String> = chosen.iter().map(|(text, _)| format!(", {text:?}")).collect();
            let handoff = handoff(&format!("run = [\"true\"{}]\n", run.concat()));
            let mut values = Values::default()
                .with("peer.ip", Value::Ip(Ipv4Addr::from(ip)))
                .with("peer.port", Value::Port(port));
            if let Ok(word) = Value::word("handle", &handle) {
                values.set("peer", word);
            }
            let dir = PrivateDir::new().unwrap();
            let Ok(plan) = handoff.plan(&values, &dir) else {
                // Only a handle that is not handed on makes a plan impossible.
                prop_assert!(values.get("peer").is_none());
                return Ok(());
            };
            let plan = plan.unwrap();
            prop_assert_eq!(plan.program.file_name(), Some("true".as_ref()));
            prop_assert_eq!(plan.args.len(), chosen.len());
            for (argument, (text, has_value)) in plan.args.iter().zip(&chosen) {
                let argument = argument.to_str().unwrap();
                if *has_value {
                    prop_assert!(!argument.starts_with('-'), "{}", argument);
                    prop_assert!(!argument.contains(char::is_whitespace), "{}", argument);
                } else {
                    let literal = text.replace("{{", "{").replace("}}", "}");
                    prop_assert_eq!(argument, literal);
                }
            }
        }
    }
}
