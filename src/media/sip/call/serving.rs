//! Requests of theirs: the server side of a call.

use super::*;

impl Call {
    pub(super) fn on_request(
        &mut self,
        request: &Request,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let key = Key::of(request);
        let method = &request.method;
        if *method == Method::Ack {
            return self.on_ack(request, now, out);
        }
        if *method == Method::Invite {
            return self.serve_invite(request, source, now, out);
        }
        if let Some(bytes) = self.answered.again(&key, method) {
            out.push(Output::Send {
                bytes: bytes.to_vec(),
                to: Where::Back,
            });
            return;
        }
        if *method == Method::Cancel {
            return self.on_cancel(request, key, source, now, out);
        }
        let stale = self
            .remote_number
            .is_some_and(|last| request.fields.cseq.number < last);
        let status = match method {
            _ if stale => 500,
            Method::Bye if self.state == State::Over => 481,
            Method::Bye | Method::Options | Method::Info => 200,
            Method::Other(_) => 501,
            _ => 405,
        };
        if !stale {
            self.remote_number = Some(request.fields.cseq.number);
        }
        self.reply(request, key, status, source, out);
        if *method == Method::Bye && status == 200 {
            self.refuse_pending(487, now, out);
            self.over(Ended::ByPeer, now, out);
        }
    }

    /// Answers anything but an INVITE, and keeps the answer.
    pub(super) fn reply(
        &mut self,
        request: &Request,
        key: Key,
        status: u16,
        source: SocketAddrV4,
        out: &mut Vec<Output>,
    ) {
        let top = top_via(&request.fields, source);
        let bytes = respond(request, status, top.as_ref(), self.tag.as_ref());
        self.answered
            .keep(key, request.method.clone(), bytes.clone());
        out.push(Output::Send {
            bytes,
            to: Where::Back,
        });
    }

    pub(super) fn on_cancel(
        &mut self,
        cancel: &Request,
        key: Key,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let of_invite = self
            .served
            .as_ref()
            .is_some_and(|served| same_invite(&served.key, &key));
        let status = if of_invite { 200 } else { 481 };
        self.reply(cancel, key, status, source, out);
        // Too late once there is a final answer (RFC 3261 section 9.2).
        let open = self.served.as_ref().is_some_and(|served| !served.finished);
        if of_invite && open {
            self.refuse_pending(487, now, out);
            if self.state == State::Incoming {
                self.over(Ended::Cancelled, now, out);
            }
        }
    }

    pub(super) fn on_ack(&mut self, ack: &Request, now: Now, out: &mut Vec<Output>) {
        let Some(served) = &mut self.served else {
            return;
        };
        if served.fields.cseq.number != ack.fields.cseq.number || served.resend.is_none() {
            return;
        }
        served.resend = None;
        if served.accepted && self.state == State::Established {
            out.push(Output::Confirmed {
                answer: sdp_of(&ack.fields),
            });
        } else if self.state == State::Over && !self.reliable() {
            self.linger = Some(now.saturating_add(T4));
        }
    }

    pub(super) fn serve_invite(
        &mut self,
        invite: &Request,
        source: SocketAddrV4,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let key = Key::of(invite);
        if let Some(served) = &self.served
            && same_invite(&served.key, &key)
        {
            // A repetition: the last answer again, nothing else.
            out.push(Output::Send {
                bytes: served.last.clone(),
                to: Where::Back,
            });
            return;
        }
        let top = top_via(&invite.fields, source);
        let first = self.state == State::Incoming && self.served.is_none();
        let stale = !first
            && self
                .remote_number
                .is_some_and(|last| invite.fields.cseq.number <= last);
        let busy = self.served.as_ref().is_some_and(|served| !served.finished);
        let asking = matches!(self.state, State::Calling | State::Proceeding);
        let at_once = if self.state == State::Over {
            Some(481)
        } else if stale || busy {
            Some(500)
        } else if asking {
            Some(491)
        } else if invite.fields.other("Require").is_some() {
            Some(420)
        } else if !invite.fields.body.is_empty() && !invite.fields.has_sdp() {
            Some(415)
        } else {
            None
        };
        if let Some(status) = at_once
            && !first
        {
            // The session stays as it is. The ACK of this refusal finds nothing to stop; the
            // refusal is repeated whenever the INVITE is.
            let bytes = respond(invite, status, top.as_ref(), self.tag.as_ref());
            out.push(Output::Send {
                bytes,
                to: Where::Back,
            });
            return;
        }
        self.remote_number = Some(invite.fields.cseq.number);
        if let Some(contact) = &invite.fields.contact {
            self.target = contact.clone();
        }
        let trying =
            Draft::reply(100, write::reason(100), top.as_ref(), &invite.fields, None).finish();
        self.served = Some(Served {
            key,
            fields: invite.fields.clone(),
            top,
            last: trying.clone(),
            resend: None,
            accepted: false,
            finished: false,
        });
        if let Some(status) = at_once {
            let bytes = respond(
                invite,
                status,
                self.served.as_ref().and_then(|served| served.top.as_ref()),
                self.tag.as_ref(),
            );
            self.send_final(bytes, false, now, out);
            return self.over(Ended::ByUs, now, out);
        }
        out.push(Output::Send {
            bytes: trying,
            to: Where::There,
        });
        let offer = sdp_of(&invite.fields);
        out.push(if first {
            Output::Incoming { offer }
        } else {
            Output::Reoffer { offer }
        });
    }

    pub(super) fn ring(&mut self, out: &mut Vec<Output>) {
        if self.state != State::Incoming {
            return;
        }
        let contact = self.local.contact();
        let tag = self.tag.clone();
        if let Some(served) = self.served.as_mut().filter(|served| !served.finished) {
            let bytes = Draft::reply(
                180,
                write::reason(180),
                served.top.as_ref(),
                &served.fields,
                tag.as_ref(),
            );
            let bytes = recorded(bytes, &served.fields)
                .header("Contact", &contact)
                .agent("Server")
                .finish();
            served.last.clone_from(&bytes);
            out.push(Output::Send {
                bytes,
                to: Where::There,
            });
        }
    }

    pub(super) fn answer(&mut self, sdp: &[u8], now: Now, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Incoming | State::Established) {
            return;
        }
        let contact = self.local.contact();
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let draft = Draft::reply(
            200,
            write::reason(200),
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        );
        let bytes = recorded(draft, &served.fields)
            .header("Contact", &contact)
            .fixed("Allow", ALLOW)
            .agent("Server")
            .with_sdp(sdp);
        self.send_final(bytes, true, now, out);
        self.state = State::Established;
    }

    pub(super) fn refuse(
        &mut self,
        status: u16,
        words: &'static str,
        warning: Option<&'static str>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let mut draft = Draft::reply(
            status.clamp(300, 699),
            words,
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        );
        if let Some(warning) = warning {
            draft = draft.fixed("Warning", warning);
        }
        let bytes = draft.agent("Server").finish();
        self.send_final(bytes, false, now, out);
        if self.state == State::Incoming {
            self.over(Ended::ByUs, now, out);
        }
    }

    /// Refuses their INVITE if it is still open.
    pub(super) fn refuse_pending(&mut self, status: u16, now: Now, out: &mut Vec<Output>) {
        let Some(served) = self.served.as_ref().filter(|served| !served.finished) else {
            return;
        };
        let bytes = Draft::reply(
            status,
            write::reason(status),
            served.top.as_ref(),
            &served.fields,
            self.tag.as_ref(),
        )
        .agent("Server")
        .finish();
        self.send_final(bytes, false, now, out);
    }

    /// Sends the final answer to their INVITE and repeats it until the ACK. A 2xx is repeated on
    /// TCP too (RFC 3261 section 13.3.1.4); a refusal is not.
    pub(super) fn send_final(
        &mut self,
        bytes: Vec<u8>,
        accepted: bool,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let reliable = self.reliable() && !accepted;
        if let Some(served) = &mut self.served {
            served.finished = true;
            served.accepted = accepted;
            served.last.clone_from(&bytes);
            served.resend = Some(Resend::new(bytes.clone(), now, reliable, T2));
        }
        out.push(Output::Send {
            bytes,
            to: Where::There,
        });
    }
}
