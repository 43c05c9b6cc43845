//! Two engines of ours on a line that loses, doubles, delays and reorders, between users who hang
//! up, programs that fail and switchboards that break. What must hold is at the end of this file.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use msn_handoff::{
    invitation::{CancelCode, Command, Message},
    negotiation::{
        AddressForm, Announced, Announcement, Application, Engine, FailureKind, Input,
        InvitationId, Now, Output, Settings, State, Treatment,
    },
};
use proptest::prelude::*;

use crate::bench::*;

/// Index of a side: the one who invites, the one who is invited.
const INVITER: usize = 0;
const INVITEE: usize = 1;
const ID: InvitationId = InvitationId(1);
const HANDLES: [&str; 2] = ["alice@example.com", "bob@example.com"];

/// What the line does with one message.
#[derive(Debug, Clone)]
struct Fate {
    /// Milliseconds each copy takes. None: the message is lost.
    copies: Vec<u64>,
    /// Whether the sender is told of a loss.
    told: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = || 0_u64..9_000;
    let copies = prop_oneof![
        4 => proptest::collection::vec(delay(), 1..=1),
        2 => Just(vec![]),
        2 => proptest::collection::vec(delay(), 2..=3),
    ];
    (copies, any::<bool>()).prop_map(|(copies, told)| Fate { copies, told })
}

/// What one side's people and programs do.
#[derive(Debug, Clone)]
struct Temper {
    /// Seconds until the offer is answered; `None` for never.
    answers_after: Option<u64>,
    accepts: bool,
    /// Seconds until the adapter listens.
    ready_after: u64,
    prepares: bool,
    /// Second at which the user hangs up.
    hangs_up: Option<u64>,
    /// Second at which the program ends by itself.
    program_ends: Option<u64>,
    /// Seconds at which the switchboards break.
    carrier_lost: Vec<u64>,
}

fn temper() -> impl Strategy<Value = Temper> {
    (
        prop_oneof![9 => (0_u64..320).prop_map(Some), 9 => (0_u64..5).prop_map(Some), 1 => Just(None)],
        prop::bool::weighted(0.9),
        0_u64..12,
        prop::bool::weighted(0.95),
        prop::option::weighted(0.2, 0_u64..400),
        prop::option::weighted(0.1, 0_u64..400),
        proptest::collection::vec(0_u64..400, 0..3),
    )
        .prop_map(
            |(answers_after, accepts, ready_after, prepares, hangs_up, program_ends, lost)| Temper {
                answers_after,
                accepts,
                ready_after,
                prepares,
                hangs_up,
                program_ends,
                carrier_lost: lost,
            },
        )
}

/// When an adapter reports that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapter {
    /// When it really has the other side; and it ends when the other side is gone.
    Honest,
    /// As soon as it was told to prepare, whatever the other side does.
    Eager,
}

#[derive(Debug, Clone)]
struct Script {
    application: usize,
    adapter: Adapter,
    fates: Vec<Fate>,
    tempers: [Temper; 2],
}

fn script(adapter: Adapter) -> impl Strategy<Value = Script> {
    (
        0_usize..every_application().len(),
        proptest::collection::vec(fate(), 0..16),
        [temper(), temper()],
    )
        .prop_map(move |(application, fates, tempers)| Script {
            application,
            adapter,
            fates,
            tempers,
        })
}

/// Something that happens to one side at a moment.
#[derive(Debug)]
enum Happening {
    Arrives(Vec<u8>),
    NotDelivered,
    Answers,
    IsReady(Announcement),
    Runs,
    LosesProgram,
    HangsUp,
    LosesCarrier,
}

struct Side {
    engine: Engine,
    log: Vec<Output>,
    /// CANCELs sent, and how many copies of them arrived at the other side.
    cancels_sent: usize,
    cancels_arrived: usize,
    /// Answers to `Prepare` given so far.
    readies: usize,
    begun: bool,
}

impl Side {
    fn state(&self) -> Option<State> {
        self.engine.sessions().next().map(|one| one.state)
    }

    fn is_live(&self) -> bool {
        self.state().is_some()
    }

    fn count(&self, what: impl Fn(&Output) -> bool) -> usize {
        self.log.iter().filter(|output| what(output)).count()
    }
}

/// The two sides and the line.
struct World {
    script: Script,
    application: Arc<Application>,
    now: Now,
    sides: [Side; 2],
    queue: BinaryHeap<Reverse<(Now, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    sent: usize,
}

impl World {
    fn new(script: Script) -> Self {
        let side = || Side {
            engine: Engine::new(Settings::default(), ID),
            log: Vec::new(),
            cancels_sent: 0,
            cancels_arrived: 0,
            readies: 0,
            begun: false,
        };
        let application = Arc::clone(&every_application()[script.application]);
        let mut world = Self {
            application,
            now: Duration::ZERO,
            sides: [side(), side()],
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            sent: 0,
            script,
        };
        for side in [INVITER, INVITEE] {
            let temper = world.script.tempers[side].clone();
            for at in temper.carrier_lost {
                world.plan(side, seconds(at), Happening::LosesCarrier);
            }
            if let Some(at) = temper.hangs_up {
                world.plan(side, seconds(at), Happening::HangsUp);
            }
            if let Some(at) = temper.program_ends {
                world.plan(side, seconds(at), Happening::LosesProgram);
            }
        }
        world
    }

    fn plan(&mut self, side: usize, at: Now, happening: Happening) {
        let number = self.happenings.len();
        self.happenings.push(Some(happening));
        self.queue.push(Reverse((at, number as u64, side)));
    }

    fn push(&mut self, side: usize, input: Input<'_>) {
        let mut out = Vec::new();
        let _ = self.sides[side].engine.handle(input, self.now, &mut out);
        for output in out {
            self.carry_out(side, &output);
            self.sides[side].log.push(output);
        }
    }

    fn carry_out(&mut self, side: usize, output: &Output) {
        let temper = self.script.tempers[side].clone();
        match output {
            Output::Send {
                command, payload, ..
            } => self.send(side, command, payload),
            Output::Offered { .. } => {
                self.sides[side].begun = true;
                if let Some(after) = temper.answers_after {
                    self.plan(side, self.now + seconds(after), Happening::Answers);
                }
            }
            Output::Prepare { announcement, .. } => {
                let at = self.now + seconds(temper.ready_after);
                self.plan(side, at, Happening::IsReady(*announcement));
                if self.script.adapter == Adapter::Eager {
                    self.plan(side, self.now, Happening::Runs);
                }
            }
            Output::Connected { .. }
            | Output::Context { .. }
            | Output::PeerLeft { .. }
            | Output::KeepAlive { .. }
            | Output::Ended { .. } => {}
        }
    }

    fn send(&mut self, side: usize, command: &str, payload: &[u8]) {
        let fate = self.script.fates.get(self.sent).cloned().unwrap_or(Fate {
            copies: vec![100],
            told: false,
        });
        self.sent += 1;
        if command == "CANCEL" {
            self.sides[side].cancels_sent += 1;
        }
        if fate.copies.is_empty() && fate.told {
            self.plan(side, self.now + seconds(1), Happening::NotDelivered);
        }
        for delay in fate.copies {
            let at = self.now + Duration::from_millis(delay);
            self.plan(1 - side, at, Happening::Arrives(payload.to_vec()));
        }
    }

    fn happen(&mut self, side: usize, happening: Happening) {
        let temper = self.script.tempers[side].clone();
        match happening {
            Happening::Arrives(payload) => self.arrive(side, &payload),
            Happening::NotDelivered => self.push(side, Input::Undelivered(ID)),
            Happening::Answers if temper.accepts => self.push(side, Input::Accept(ID)),
            Happening::Answers => self.push(side, Input::Decline(ID, CancelCode::Reject)),
            Happening::IsReady(_) if !temper.prepares => {
                self.push(side, Input::Failed(ID, FailureKind::Failed));
            }
            Happening::IsReady(announcement) => {
                self.sides[side].readies += 1;
                let port = match announcement {
                    Announcement::Context => Some(10_869),
                    Announcement::Accept => {
                        (self.application.address == AddressForm::IpPort).then_some(13_455)
                    }
                };
                self.push(side, Input::Ready(ID, Announced::new(OURS, port)));
            }
            Happening::Runs => self.push(side, Input::Running(ID)),
            Happening::LosesProgram => self.push(side, Input::ProgramEnded(ID)),
            Happening::HangsUp => self.push(side, Input::HangUp(ID)),
            Happening::LosesCarrier => {
                self.push(
                    side,
                    Input::CarrierLost {
                        peer: HANDLES[1 - side],
                    },
                );
            }
        }
    }

    fn arrive(&mut self, side: usize, payload: &[u8]) {
        let message = Message::read(payload).unwrap();
        let is_cancel = message.command() == Command::Cancel;
        let sent_before = self.sent;
        let application = Some(Treatment::Negotiate(Arc::clone(&self.application)));
        let peer = HANDLES[1 - side];
        self.push(
            side,
            Input::Received {
                peer,
                message: &message,
                application,
            },
        );
        if is_cancel {
            self.sides[1 - side].cancels_arrived += 1;
            assert_eq!(self.sent, sent_before, "a CANCEL was answered");
        }
    }

    /// Media of honest adapters: up when both sides are connected, and down with either of them.
    fn media(&mut self) {
        if self.script.adapter == Adapter::Eager {
            return;
        }
        let [ours, theirs] = [INVITER, INVITEE].map(|side| self.sides[side].state());
        let connected = |state: Option<State>| state.is_some_and(|state| state.is_connected());
        for side in [INVITER, INVITEE] {
            let (own, other) = if side == INVITER {
                (ours, theirs)
            } else {
                (theirs, ours)
            };
            if own == Some(State::Connected) && connected(other) {
                self.push(side, Input::Running(ID));
            }
            if own == Some(State::Running) && other.is_none() {
                self.push(side, Input::ProgramEnded(ID));
            }
        }
    }

    /// Runs until nothing can happen any more. A bound makes a livelock a failure.
    fn run(&mut self) {
        self.sides[INVITER].begun = true;
        self.push(
            INVITER,
            Input::Invite {
                application: Arc::clone(&self.application),
                peer: HANDLES[INVITEE].to_owned(),
                cookie: 7,
                session_id: WHITEBOARD_SESSION.to_owned(),
                capabilities: None,
                connection: None,
            },
        );
        for _ in 0..5_000 {
            let due = self.queue.peek().map(|Reverse((at, ..))| *at);
            let alarm = [INVITER, INVITEE]
                .into_iter()
                .filter_map(|side| self.sides[side].engine.next_timeout().map(|at| (at, side)))
                .min();
            match (due, alarm) {
                (None, None) => return,
                (due, Some((at, side))) if due.is_none_or(|due| at <= due) => {
                    assert!(at >= self.now, "an alarm in the past");
                    self.now = at;
                    self.push(side, Input::Timeout);
                    let next = self.sides[side].engine.next_timeout();
                    assert!(next.is_none_or(|next| next > at), "an alarm that stays due");
                }
                _ => {
                    if let Some(Reverse((at, number, side))) = self.queue.pop() {
                        self.now = at;
                        if let Some(happening) = self.happenings[number as usize].take() {
                            self.happen(side, happening);
                        }
                    }
                }
            }
            self.media();
        }
        panic!("it never comes to rest");
    }

    /// What holds for each side, however the line behaves.
    fn check_each(&self) {
        for (index, side) in self.sides.iter().enumerate() {
            let lines: Vec<&Output> = side.log.iter().collect();
            let count = |what: fn(&Output) -> bool| side.count(what);
            let prepared = |announcement| {
                side.count(|one| matches!(one, Output::Prepare { announcement: a, .. } if *a == announcement))
            };
            assert!(prepared(Announcement::Accept) <= 1, "{lines:?}");
            assert!(prepared(Announcement::Context) <= 1, "{lines:?}");
            assert!(
                count(|one| matches!(one, Output::Offered { .. })) <= 1,
                "{lines:?}"
            );
            assert!(
                count(|one| matches!(one, Output::Connected { .. })) <= 1,
                "{lines:?}"
            );
            // Exactly one end, unless it lives or never began; nothing but a CANCEL after it.
            let ended = count(|one| matches!(one, Output::Ended { .. }));
            assert_eq!(
                ended,
                usize::from(side.begun && !side.is_live()),
                "{lines:?}"
            );
            let after = side
                .log
                .iter()
                .skip_while(|one| !matches!(one, Output::Ended { .. }))
                .skip(1);
            for one in after {
                assert!(
                    matches!(
                        one,
                        Output::Send {
                            command: "CANCEL",
                            ..
                        }
                    ),
                    "{lines:?}"
                );
            }
            // No address before we listen.
            let addresses = count(|one| {
                matches!(
                    one,
                    Output::Send {
                        command: "ACCEPT" | "CONTEXT",
                        ..
                    }
                )
            });
            assert!(
                addresses == 0 || side.readies > 0,
                "side {index}: {lines:?}"
            );
            // No ping-pong: one message of each kind, and its few retries.
            assert!(
                count(|one| matches!(one, Output::Send { .. })) <= 16,
                "{lines:?}"
            );
            // Whatever lives has been handed over; nothing waits for ever.
            assert!(
                side.state().is_none_or(|state| state == State::Running),
                "{lines:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both run, or neither lives: even when every CANCEL is lost.
    #[test]
    fn two_engines_agree_when_adapters_report_what_they_really_have(
        script in script(Adapter::Honest)
    ) {
        let mut world = World::new(script);
        world.run();
        world.check_each();
        prop_assert_eq!(world.sides[INVITER].state(), world.sides[INVITEE].state());
    }

    /// The same with adapters that report too early, but for one case: a side that runs stays so if
    /// no copy of the other's CANCEL reached it.
    #[test]
    fn two_engines_agree_or_every_cancel_of_the_one_that_ended_was_lost(
        script in script(Adapter::Eager)
    ) {
        let mut world = World::new(script);
        world.run();
        world.check_each();
        let [inviter, invitee] = &world.sides;
        for (alive, ended) in [(inviter, invitee), (invitee, inviter)] {
            if alive.is_live() && !ended.is_live() {
                prop_assert!(ended.begun && ended.cancels_sent > 0, "{:?}", ended.log);
                prop_assert_eq!(ended.cancels_arrived, 0, "{:?}", alive.log);
            }
        }
    }
}

/// On a line that loses nothing, whatever the order, patient people get what they agreed to.
#[test]
fn on_a_line_that_only_delays_and_doubles_everything_comes_to_running() {
    for (application, _) in every_application().iter().enumerate() {
        for adapter in [Adapter::Honest, Adapter::Eager] {
            for copies in [vec![0], vec![10], vec![8_000, 10], vec![10, 10, 3_000]] {
                let temper = Temper {
                    answers_after: Some(3),
                    accepts: true,
                    ready_after: 1,
                    prepares: true,
                    hangs_up: None,
                    program_ends: None,
                    carrier_lost: vec![],
                };
                let fate = Fate {
                    copies,
                    told: false,
                };
                let mut world = World::new(Script {
                    application,
                    adapter,
                    fates: vec![fate; 20],
                    tempers: [temper.clone(), temper],
                });
                world.run();
                world.check_each();
                for side in &world.sides {
                    assert_eq!(side.state(), Some(State::Running), "{:?}", side.log);
                }
            }
        }
    }
}

/// The counterexample the documentation names: it exists, and it is the only kind.
#[test]
fn an_inviter_whose_second_accept_and_the_cancel_for_it_are_lost_runs_on_until_its_program_ends() {
    let temper = |ends| Temper {
        answers_after: Some(1),
        accepts: true,
        ready_after: 1,
        prepares: true,
        hangs_up: None,
        program_ends: ends,
        carrier_lost: vec![],
    };
    let arrives = Fate {
        copies: vec![10],
        told: false,
    };
    let lost = Fate {
        copies: vec![],
        told: false,
    };
    let fates = vec![arrives.clone(), arrives, lost.clone(), lost];
    for (ends, expected) in [(None, Some(State::Running)), (Some(900), None)] {
        let mut world = World::new(Script {
            application: 0,
            adapter: Adapter::Eager,
            fates: fates.clone(),
            tempers: [temper(ends), temper(None)],
        });
        world.run();
        world.check_each();
        assert_eq!(world.sides[INVITER].state(), expected);
        assert_eq!(world.sides[INVITEE].state(), None);
    }
}
