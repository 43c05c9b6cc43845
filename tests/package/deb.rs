//! The Debian package: lintian accepts it; in a bare Debian it is installed, the service is started by
//! who asks for it, an invitation is taken, and nothing is left when it is removed.

use crate::{
    BINARY,
    desktop::{STEPS, people},
    run,
    support::have,
};

fn script(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What it prints when all is well.
async fn said(program: &str, args: &[&str]) -> String {
    let done = run(program, args).await;
    let words = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program}:\n{words}\n{complaints}");
    words
}

#[tokio::test]
async fn the_package_is_installed_used_and_removed() {
    if !have(&[
        "cargo-deb",
        "lintian",
        "/usr/sbin/debootstrap",
        "unshare",
        "findmnt",
        "ip",
    ]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "needs root");
        eprintln!("SKIPPED: only root can install a package into a folder");
        return;
    }
    // The program that is tested here, rather than one that takes minutes to optimise.
    let profile = ["dev", "release"][usize::from(BINARY.ends_with("/release/msn-handoff"))];
    let package = said(
        &script("bridges/desktop/build-deb"),
        &[profile, "--no-build"],
    )
    .await;
    let package = package.trim();
    let args = ["--allow-root", "--fail-on", "error,warning", package];
    assert_eq!(said("lintian", &args).await, "");

    let chroot = said(&script("tests/package/chroot"), &[]).await;
    let installed = script("tests/package/installed");
    let args = [&*installed, chroot.trim(), package, &people()];
    let words = said(&script("tests/package/in-namespaces"), &args).await;
    let step = |name: &str| {
        let (_, rest) = words.split_once(&format!("\n== {name}\n")).unwrap();
        rest.split("\n== ").next().unwrap()
    };
    for (name, part) in [
        ("doctor", "examples/config.toml is correct"),
        ("doctor", "voice or video call: the built-in agent takes it"),
        ("demo", "◀──── /accept ─────"),
        ("demo", "440 Hz came through at -6.0 dBFS"),
        ("completions", " -F _msn__handoff msn-handoff"),
    ] {
        assert!(step(name).contains(part), "{name}: {part}: {}", step(name));
    }
    let steps = STEPS.replace("VERSION", env!("CARGO_PKG_VERSION"));
    assert_eq!(step("session").trim_end(), steps.trim_end());
    assert!(!step("remove").contains("\n/"), "{}", step("remove"));
}
