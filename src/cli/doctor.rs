//! `msn-handoff doctor`: what is installed, what is not, and what to install.

use std::{fmt::Write, path::Path};

use super::{Failure, network};
use crate::{
    bridge::{Handoff, Medium, Registry, Unclaimed},
    config::Config,
    endpoint::{own, whereabouts},
    launch::{self, Confines},
    negotiation::Role,
};

/// `msn-handoff doctor`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Look at the way to contacts instead: which address they are told, and whether it can be reached
    #[arg(long)]
    network: bool,
    /// As one line of JSON
    #[arg(long, requires = "network")]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<(), Failure> {
    if arguments.network {
        let config = Config::load(config).map_err(Failure::configuration)?;
        return network::run(&config, arguments.json);
    }
    let runtime = super::runtime()?;
    let mut text = String::new();
    let configuration = Config::load(config);
    let place = config
        .map(Path::to_owned)
        .or_else(Config::usual_place)
        .unwrap_or_default();
    let _ = match &configuration {
        Ok(_) if place.exists() => writeln!(text, "configuration: {} is correct", place.display()),
        Ok(_) => writeln!(
            text,
            "configuration: none at {}, so the defaults hold",
            place.display()
        ),
        Err(error) => writeln!(text, "configuration: WRONG: {error}"),
    };
    let registry = Registry::here();
    if let Err(error) = &registry {
        let _ = writeln!(text, "bridges: WRONG: {error}");
    }
    if let (Ok(configuration), Ok(registry)) = (&configuration, &registry) {
        for told in configuration.without_effect(registry) {
            let _ = writeln!(text, "configuration: WITHOUT EFFECT: {told}");
        }
    }
    let route = runtime.block_on(own::default());
    let _ = match (
        configuration
            .as_ref()
            .ok()
            .and_then(|config| config.network.announce),
        route,
    ) {
        (Some(ip), _) => writeln!(text, "address: contacts are told {ip}, as configured"),
        (None, Ok(ip)) if whereabouts::is_private(ip) => writeln!(
            text,
            "address: {ip} leads out, which is private: see `msn-handoff doctor --network`"
        ),
        (None, Ok(ip)) => writeln!(text, "address: {ip} leads out"),
        (None, Err(_)) => writeln!(text, "address: no way leads out; say --announce"),
    };
    text.push_str(&surroundings());
    let unconfined = matches!(&configuration, Ok(configuration) if configuration.unconfined);
    let _ = writeln!(
        text,
        "programs: {}",
        confinement(unconfined, launch::confines())
    );
    if let Ok(configuration) = &configuration {
        let _ = writeln!(text, "unknown applications: {}", unknown(configuration));
    }
    if let Ok(registry) = &registry {
        text.push('\n');
        text.push_str(&applications(registry, |handoff| {
            handoff.fits().map_err(|missing| missing.to_string())
        }));
    }
    super::print(&text);
    configuration.map_err(Failure::configuration)?;
    registry.map_err(Failure::configuration)?;
    Ok(())
}

/// Sound and display: programs start without them, but nobody hears or sees.
fn surroundings() -> String {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let socket = |name: &str| runtime.as_ref().is_some_and(|dir| dir.join(name).exists());
    let sound = if socket("pipewire-0") {
        "PipeWire"
    } else if socket("pulse/native") || set("PULSE_SERVER") {
        "PulseAudio"
    } else if Path::new("/dev/snd/controlC0").exists() {
        "ALSA"
    } else {
        "none found: a call is answered, but nobody hears it"
    };
    let display = if set("WAYLAND_DISPLAY") {
        "Wayland"
    } else if set("DISPLAY") {
        "X11"
    } else {
        "none found: pictures cannot be shown"
    };
    format!("sound: {sound}\ndisplay: {display}\n")
}

/// Whether programs are held back from the user's files.
fn confinement(switched_off: bool, possible: Confines) -> &'static str {
    match (switched_off, possible) {
        (true, _) => "none is confined, as configured",
        (false, Confines::Wholly) => "confined where their bridge says so",
        (false, Confines::Partly) => {
            "partly confined where their bridge says so: this kernel (Linux before 6.2) lets them empty \
             files that they cannot read"
        }
        (false, Confines::Not) => {
            "none can be confined: this kernel has no Landlock, or it is switched off"
        }
    }
}

/// What becomes of applications that no bridge describes.
fn unknown(config: &Config) -> String {
    match config.unknown {
        Unclaimed::Pass => "left to your client".to_owned(),
        Unclaimed::Refuse => "refused as not installed".to_owned(),
        Unclaimed::Record => {
            let folder = config.recordings_folder();
            format!("recorded in {}, once you accept", folder.display())
        }
    }
}

/// Application by application.
fn applications(registry: &Registry, fits: impl Fn(&Handoff) -> Result<(), String>) -> String {
    let mut text = String::new();
    for bridge in registry.iter() {
        let name = &bridge.application.name;
        let taker = bridge
            .handoffs(Role::Invitee)
            .find(|handoff| handoff.medium == Medium::Session && fits(handoff).is_ok());
        let _ = match (taker, bridge.unclaimed) {
            (Some(handoff), _) => writeln!(text, "{name}: {} takes it", handoff.name),
            (None, Unclaimed::Pass) => writeln!(text, "{name}: left to your client"),
            (None, Unclaimed::Refuse) => writeln!(text, "{name}: refused as not installed"),
            (None, Unclaimed::Record) => writeln!(text, "{name}: what comes is recorded"),
        };
        for handoff in bridge.handoffs(Role::Invitee) {
            if let Err(missing) = fits(handoff) {
                let _ = writeln!(text, "    {}: {missing}", handoff.name);
            }
        }
        let better = taker.is_none_or(|handoff| handoff.builtin);
        if let Some(install) = bridge.install.as_ref().filter(|_| better) {
            let _ = writeln!(text, "    to do better, install {install}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_programs_are_confined_is_told() {
        for (switched_off, possible, told) in [
            (false, Confines::Wholly, "confined where"),
            (false, Confines::Partly, "partly confined where"),
            (false, Confines::Not, "none can be confined"),
            (true, Confines::Wholly, "none is confined, as configured"),
        ] {
            assert!(confinement(switched_off, possible).starts_with(told));
        }
    }

    #[test]
    fn a_bare_machine_is_told_what_to_install() {
        let bare = |handoff: &Handoff| match handoff.program() {
            Some(program) => Err(format!("{program} is not installed")),
            None => Ok(()),
        };
        insta::assert_snapshot!(applications(&Registry::load(&[]).unwrap(), bare));
    }
}
