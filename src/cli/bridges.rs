//! `msn-handoff bridges`: the known applications and what would take each; and what is wrong with a
//! bridge file.

use std::{fmt::Write, path::PathBuf};

use serde_json::json;

use super::Failure;
use crate::{
    bridge::{Bridge, Handoff, Medium, Reading, Registry, Unclaimed, folders, read_file},
    negotiation::Role,
};

/// `msn-handoff bridges`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// For programs
    #[arg(long)]
    json: bool,

    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Read a bridge file and explain every mistake
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Verb::Check { file }) = &arguments.verb {
        return check(file);
    }
    let registry = Registry::here().map_err(Failure::configuration)?;
    let fits = |handoff: &Handoff| handoff.fits().map_err(|missing| missing.to_string());
    if arguments.json {
        super::print(&as_json(&registry, fits));
    } else {
        super::print(&as_table(&registry, fits));
    }
    Ok(())
}

fn check(file: &std::path::Path) -> Result<(), Failure> {
    match read_file(file).map_err(Failure::configuration)? {
        Reading::Hidden(id) => super::print(&format!("correct: it hides {id:?}\n")),
        Reading::Bridge(bridge) => {
            // What is wrong with another file is not asked here.
            if let Ok(registry) = Registry::load(&folders()) {
                let free = registry.check_guids_of(&bridge);
                free.map_err(Failure::configuration)?;
            }
            super::print(&format!(
                "correct: {:?}, {} ways to hand over\n",
                bridge.application.id,
                bridge.handoffs.len()
            ));
        }
    }
    Ok(())
}

/// For people. `fits` says whether a handoff can run, so that a test can answer for a machine.
fn as_table(registry: &Registry, fits: impl Fn(&Handoff) -> Result<(), String>) -> String {
    let mut text = String::new();
    for bridge in registry.iter() {
        let application = &bridge.application;
        let _ = writeln!(text, "{} - {}", application.id, application.name);
        for guid in &application.guids {
            let _ = writeln!(text, "    {}", guid.as_written());
        }
        for (role, when) in [
            (Role::Invitee, "when invited"),
            (Role::Inviter, "when inviting"),
        ] {
            let _ = writeln!(text, "    {when}: {}", takers(bridge, role, &fits));
        }
        for handoff in &bridge.handoffs {
            if let Err(missing) = fits(handoff) {
                let _ = writeln!(text, "    not {}: {missing}", handoff.name);
            }
        }
        if let Some(note) = &bridge.note {
            let _ = writeln!(text, "    note: {note}");
        }
        let _ = writeln!(text, "    described in: {}", bridge.origin);
        text.push('\n');
    }
    text
}

/// The name of the first handoff that can run.
fn taker<'a>(
    bridge: &'a Bridge,
    role: Role,
    medium: Medium,
    fits: &impl Fn(&Handoff) -> Result<(), String>,
) -> Option<&'a str> {
    bridge
        .handoffs(role)
        .find(|handoff| handoff.medium == medium && fits(handoff).is_ok())
        .map(|handoff| handoff.name.as_str())
}

fn takers(bridge: &Bridge, role: Role, fits: &impl Fn(&Handoff) -> Result<(), String>) -> String {
    let first = |medium| taker(bridge, role, medium, fits);
    match (first(Medium::Session), first(Medium::Video)) {
        (Some(session), Some(video)) => format!("{session}, pictures with {video}"),
        (Some(session), None) => session.to_owned(),
        (None, _) if role == Role::Inviter => "nothing here can".to_owned(),
        (None, _) => match bridge.unclaimed {
            Unclaimed::Pass => "your client gets it".to_owned(),
            Unclaimed::Refuse => "refused as not installed".to_owned(),
            Unclaimed::Record => "what comes is recorded".to_owned(),
        },
    }
}

/// For programs.
fn as_json(registry: &Registry, fits: impl Fn(&Handoff) -> Result<(), String>) -> String {
    let bridges: Vec<_> = registry
        .iter()
        .map(|bridge| {
            let handoffs: Vec<_> = bridge
                .handoffs
                .iter()
                .map(|handoff| {
                    json!({
                        "name": handoff.name,
                        "adapter": handoff.adapter,
                        "medium": handoff.medium,
                        "program": handoff.program(),
                        "missing": fits(handoff).err(),
                    })
                })
                .collect();
            let guids: Vec<_> = bridge
                .application
                .guids
                .iter()
                .map(|guid| guid.as_written())
                .collect();
            json!({
                "id": bridge.application.id,
                "name": bridge.application.name,
                "guids": guids,
                "unclaimed": bridge.unclaimed,
                "takes": {
                    "invitee": taker(bridge, Role::Invitee, Medium::Session, &fits),
                    "inviter": taker(bridge, Role::Inviter, Medium::Session, &fits),
                },
                "note": bridge.note,
                "origin": bridge.origin.to_string(),
                "handoffs": handoffs,
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&bridges).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that has baresip with PulseAudio and ffplay.
    fn machine(handoff: &Handoff) -> Result<(), String> {
        match handoff.program() {
            None | Some("ffplay") => Ok(()),
            Some("baresip") if handoff.name == "baresip" => Ok(()),
            Some(program) => Err(format!("{program} is not installed")),
        }
    }

    #[test]
    fn the_table_for_people() {
        insta::assert_snapshot!(as_table(&Registry::load(&[]).unwrap(), machine));
    }

    #[test]
    fn the_list_for_programs() {
        let text = as_json(&Registry::load(&[]).unwrap(), machine);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let voice = value
            .as_array()
            .unwrap()
            .iter()
            .find(|bridge| bridge["id"] == "voice")
            .unwrap();
        assert_eq!(
            voice["handoffs"][0]["missing"],
            "linphonec is not installed"
        );
        assert_eq!(voice["handoffs"][1]["missing"], serde_json::Value::Null);
        assert_eq!(voice["takes"]["invitee"], "baresip");
        assert_eq!(voice["takes"]["inviter"], "baresip");
        let mut all = value.as_array().unwrap().iter();
        let game = all.find(|bridge| bridge["id"] == "jedi-knight");
        assert_eq!(game.unwrap()["takes"]["invitee"], serde_json::Value::Null);
    }
}
