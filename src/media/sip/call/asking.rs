//! Requests of ours and what is answered to them: the client side of a call.

use super::*;

impl Call {
    pub(super) fn hang_up(&mut self, now: Now, out: &mut Vec<Output>) {
        match self.state {
            State::Over => return,
            State::Incoming => self.refuse_pending(480, now, out),
            State::Calling => {
                // A CANCEL may go only after a provisional answer (RFC 3261 section 9.1).
                // Until then the INVITE is not repeated: it is no longer meant.
                if let Some(asked) = &mut self.asked {
                    asked.cancel_wanted = true;
                    if let Some(resend) = &mut asked.resend {
                        resend.quieten(now.saturating_add(GIVE_UP));
                    }
                }
            }
            State::Proceeding => self.cancel(now, out),
            State::Established => {
                self.refuse_pending(487, now, out);
                self.bye(now, out);
            }
        }
        self.over(Ended::ByUs, now, out);
    }

    pub(super) fn cancel(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(asked) = self.asked.as_mut().filter(|asked| !asked.cancelled) else {
            return;
        };
        asked.cancelled = true;
        if let Some(resend) = &mut asked.resend {
            resend.quieten(now.saturating_add(GIVE_UP));
        }
        let (branch, number) = (asked.branch.clone(), asked.number);
        // Same branch and number as the INVITE, and the To it had: without a tag.
        let bytes = self
            .request(&Method::Cancel, number, &branch)
            .agent("User-Agent")
            .finish();
        self.pend(Method::Cancel, branch, bytes, now, out);
    }

    pub(super) fn bye(&mut self, now: Now, out: &mut Vec<Output>) {
        self.number += 1;
        let branch = self.branch();
        let bytes = self
            .request(&Method::Bye, self.number, &branch)
            .agent("User-Agent")
            .finish();
        self.pend(Method::Bye, branch, bytes, now, out);
    }

    pub(super) fn pend(
        &mut self,
        method: Method,
        branch: String,
        bytes: Vec<u8>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.pending.push(Pending {
            method,
            branch,
            resend: Resend::new(bytes.clone(), now, self.reliable(), T2),
        });
        out.push(Output::Send {
            bytes,
            to: Where::There,
        });
    }

    pub(super) fn on_response(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        let branch = response.fields.via.branch.as_ref().map(Text::as_str);
        let method = &response.fields.cseq.method;
        if let Some(at) = self
            .pending
            .iter()
            .position(|p| Some(p.branch.as_str()) == branch && p.method == *method)
        {
            if response.status >= 200 {
                self.pending.remove(at);
                if self.state == State::Over && self.asked_is_done() && self.pending.is_empty() {
                    self.linger = (!self.reliable()).then(|| now.saturating_add(T4));
                }
            }
            return;
        }
        if *method != Method::Invite {
            return;
        }
        let Some(asked) = &mut self.asked else {
            return;
        };
        if Some(asked.branch.as_str()) != branch || asked.number != response.fields.cseq.number {
            return;
        }
        if let Some(ack) = &asked.ack {
            // The final answer again: the ACK was lost.
            if response.status >= 200 {
                out.push(Output::Send {
                    bytes: ack.clone(),
                    to: Where::There,
                });
            }
            return;
        }
        match response.status {
            0..200 => self.on_provisional(response, now, out),
            200..300 => self.on_accepted(response, now, out),
            status => self.on_refused(response, status, now, out),
        }
    }

    pub(super) fn asked_is_done(&self) -> bool {
        self.asked
            .as_ref()
            .is_none_or(|asked| asked.resend.is_none())
    }

    pub(super) fn on_provisional(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        let Some(asked) = &mut self.asked else {
            return;
        };
        if !asked.cancelled
            && let Some(resend) = &mut asked.resend
        {
            resend.quieten(now.saturating_add(RING));
        }
        if asked.cancel_wanted {
            asked.cancel_wanted = false;
            return self.cancel(now, out);
        }
        if matches!(self.state, State::Calling | State::Proceeding) {
            self.state = State::Proceeding;
            if response.status > 100 {
                out.push(Output::Ringing);
            }
        }
    }

    pub(super) fn on_accepted(&mut self, response: &Response, now: Now, out: &mut Vec<Output>) {
        self.them = response.fields.to.value.clone();
        self.remote_tag.clone_from(&response.fields.to.tag);
        if let Some(contact) = &response.fields.contact {
            self.target = contact.clone();
        }
        self.route = response.fields.record_route.iter().rev().cloned().collect();
        let number = self.asked.as_ref().map_or(1, |asked| asked.number);
        // The ACK of a 2xx is a transaction of its own.
        let branch = self.branch();
        let ack = self
            .request(&Method::Ack, number, &branch)
            .agent("User-Agent")
            .finish();
        if let Some(asked) = &mut self.asked {
            asked.resend = None;
            asked.ack = Some(ack.clone());
        }
        out.push(Output::Send {
            bytes: ack,
            to: Where::There,
        });
        if self.state == State::Over {
            // We had hung up; the CANCEL came too late.
            return self.bye(now, out);
        }
        self.state = State::Established;
        out.push(Output::Answered {
            answer: sdp_of(&response.fields),
        });
    }

    pub(super) fn on_refused(
        &mut self,
        response: &Response,
        status: u16,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(asked) = &self.asked else {
            return;
        };
        let (branch, number) = (asked.branch.clone(), asked.number);
        // The ACK of a refusal belongs to the INVITE: same branch, the To of the answer.
        let before = core::mem::replace(&mut self.them, response.fields.to.value.clone());
        let ack = self.request(&Method::Ack, number, &branch).finish();
        self.them = before;
        if let Some(asked) = &mut self.asked {
            asked.resend = None;
            asked.ack = Some(ack.clone());
        }
        out.push(Output::Send {
            bytes: ack,
            to: Where::There,
        });
        if self.state == State::Over {
            self.linger = (!self.reliable()).then(|| now.saturating_add(GIVE_UP));
        }
        self.over(Ended::Refused(status), now, out);
    }
}
