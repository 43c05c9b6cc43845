//! The files of `bridges/desktop`: their validators accept them, and a service manager and a session
//! bus start what they say.

use std::path::{Path, PathBuf};

use crate::{
    BINARY, run,
    support::{have, within},
};

fn file(name: &str) -> String {
    format!("{}/bridges/desktop/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a validator, which must have nothing to say but `said`.
async fn accepts(program: &str, args: &[&str], said: &str) {
    let done = run(program, args).await;
    let words = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{program} {args:?}: {words}");
    assert!(words.trim().ends_with(said), "{program} {args:?}: {words}");
    assert!(!said.is_empty() || words.is_empty(), "{program}: {words}");
}

#[tokio::test]
async fn the_desktop_entry_is_valid() {
    if have(&["desktop-file-validate"]) {
        let entry = file("org.msn_handoff.handoff.desktop");
        accepts("desktop-file-validate", &[&entry], "").await;
    }
}

#[tokio::test]
async fn the_metadata_are_valid() {
    if have(&["appstreamcli"]) {
        let metadata = file("org.msn_handoff.handoff.metainfo.xml");
        let args = ["validate", "--no-net", "--pedantic", "--strict", &metadata];
        accepts("appstreamcli", &args, "Validation was successful.").await;
    }
}

#[test]
fn the_metadata_name_this_version_and_what_is_installed() {
    let metadata = std::fs::read_to_string(file("org.msn_handoff.handoff.metainfo.xml")).unwrap();
    let release = format!("<release version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(metadata.contains(&release), "{release}");
    let entry = "org.msn_handoff.handoff.desktop";
    assert!(metadata.contains(entry) && Path::new(&file(entry)).exists());
}

/// The units with the binary where it is now: the validator looks whether it is there.
fn units(folder: &Path) -> Vec<PathBuf> {
    let unit = |name: &str| {
        let text = std::fs::read_to_string(file(name)).unwrap();
        assert!(!name.ends_with("service") || text.contains("ExecStart=/usr/bin/msn-handoff"));
        let place = folder.join(name);
        std::fs::write(&place, text.replace("/usr/bin/msn-handoff", BINARY)).unwrap();
        place
    };
    ["msn-handoff.service", "msn-handoff.socket"]
        .map(unit)
        .into()
}

#[tokio::test]
async fn the_units_are_valid() {
    if !have(&["systemd-analyze"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = format!("XDG_RUNTIME_DIR={}", dir.path().display());
    let units = units(dir.path());
    let mut args = vec![&*runtime, "systemd-analyze", "verify", "--user", "--man=no"];
    args.extend(units.iter().map(|unit| unit.to_str().unwrap()));
    accepts("env", &args, "").await;
}

/// Where `people.rs` is, compiled.
pub(crate) fn people() -> String {
    let this = std::env::current_exe().unwrap();
    this.into_os_string().into_string().unwrap()
}

/// What the script says at each step, see there.
pub(crate) const STEPS: &str = "\
before anybody connects: inactive
the socket's mode: 600
a script is answered: {\"accounts\":[],\"invitations\":[]}
after that: active/running
stopped: inactive/success
the socket stays: active
a client connects: active
an invitation is taken, and both hear each other: active
the bus asks: s \"VERSION\"
started by the bus: active
a wrong configuration: failed
its exit code: 6
tried again: 0
done
";

#[tokio::test]
async fn a_client_a_script_and_the_bus_start_the_service() {
    if !have(&[
        "systemd-analyze",
        "dbus-daemon",
        "busctl",
        "unshare",
        "findmnt",
        "ip",
    ]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "needs root");
        eprintln!("SKIPPED: only root can make a login session of its own");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let script = |name: &str| format!("{}/tests/package/{name}", env!("CARGO_MANIFEST_DIR"));
    let home = home.path().to_str().unwrap();
    let session = script("session");
    let args = [&*session, BINARY, home, &people(), &file("")];
    let done = within("the session", run(&script("in-namespaces"), &args)).await;
    let said = String::from_utf8(done.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&done.stderr);
    let steps = STEPS.replace("VERSION", env!("CARGO_PKG_VERSION"));
    assert_eq!(said, steps, "{complaints}");
}
