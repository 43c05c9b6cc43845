//! Answers without a session, and what every answer copies.

use super::*;

/// Answers a request that belongs to no call: OPTIONS ("is anybody there") is served, an ACK gets
/// nothing, everything else is refused with `status` or, where the method says more, with that.
#[must_use]
pub fn stray(
    request: &Request,
    status: u16,
    source: SocketAddrV4,
    tag: Option<&Token>,
) -> Option<Vec<u8>> {
    let status = match &request.method {
        Method::Ack => return None,
        Method::Options => 200,
        Method::Invite => status,
        Method::Bye | Method::Cancel | Method::Info => 481,
        Method::Known(_) => 405,
        Method::Other(_) => 501,
    };
    let top = top_via(&request.fields, source);
    Some(respond(request, status, top.as_ref(), tag))
}

/// A response without body, with what its status calls for.
pub(super) fn respond(
    request: &Request,
    status: u16,
    top: Option<&Text>,
    tag: Option<&Token>,
) -> Vec<u8> {
    let mut draft = Draft::reply(status, write::reason(status), top, &request.fields, tag);
    if matches!(status, 405 | 501) || request.method == Method::Options {
        draft = draft.fixed("Allow", ALLOW);
    }
    if status == 415 || request.method == Method::Options {
        draft = draft.fixed("Accept", "application/sdp");
    }
    if status == 420
        && let Some(require) = request.fields.other("Require")
    {
        draft = draft.header("Unsupported", require);
    }
    if matches!(status, 500 | 503) {
        draft = draft.fixed("Retry-After", "5");
    }
    draft.agent("Server").finish()
}

pub(super) fn recorded(mut draft: Draft, fields: &Fields) -> Draft {
    for route in &fields.record_route {
        draft = draft.header("Record-Route", route);
    }
    draft
}

pub(super) fn sdp_of(fields: &Fields) -> Vec<u8> {
    if fields.has_sdp() {
        fields.body.clone()
    } else {
        Vec::new()
    }
}

/// Whether two keys name the same INVITE. The method is not part of a [`Key`], so this is also
/// how a CANCEL finds its INVITE.
pub(super) fn same_invite(a: &Key, b: &Key) -> bool {
    a == b
}

/// The top Via as a response copies it: `received` when the sender is not where it thinks
/// (RFC 3261 section 18.2.1), `rport` when it asked (RFC 3581 section 4). Nothing if it needs no
/// change.
pub(super) fn top_via(fields: &Fields, source: SocketAddrV4) -> Option<Text> {
    let differs = fields.via.host != Host::V4(*source.ip());
    if !differs && !fields.via.rport {
        return None;
    }
    let mut parts = fields.vias.first()?.as_str().split(';');
    let mut text = parts.next()?.trim().to_owned();
    for part in parts {
        let name = part.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("rport") {
            let _ = write!(text, ";rport={}", source.port());
        } else if !name.eq_ignore_ascii_case("received") {
            let _ = write!(text, ";{}", part.trim());
        }
    }
    let _ = write!(text, ";received={}", source.ip());
    Some(Text::printed(text))
}
