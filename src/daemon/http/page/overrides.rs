//! The overrides in force.

use maud::{Markup, html};

use super::{View, words};

/// The overrides, the first ones.
pub(super) fn section(view: &View) -> Markup {
    let shown = view.shown_overrides.len();
    html! {
        h2 #overrides-title { "Overrides" }
        @if shown == 0 {
            p.empty { "None: every session is as the config wants it." }
        } @else {
            table.overrides role="table" aria-labelledby="overrides-title" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for name in ["User", "Wanted", "Source", "Ends in", "By", "Reason"] {
                            th role="columnheader" scope="col" { (name) }
                        }
                    }
                }
                tbody role="rowgroup" { @for at in 0..shown { (row(view, at)) } }
            }
            @if view.overrides.of > shown {
                p.found { (words::size(shown)) " of " (words::size(view.overrides.of)) }
            }
        }
    }
}

fn row(view: &View, at: usize) -> Markup {
    let ((whom, ..), over) = (&view.overrides.overrides[at], &view.shown_overrides[at]);
    let who = view.who(whom.user);
    html! {
        tr role="row" data-key=(format!("{} {who} {}", over.app, over.source)) {
            td.who role="cell" { strong { (who) } span.app { (over.app) } }
            td role="cell" data-name="Wanted" { (words::state(&over.wanted)) @if !over.holds { small { "another one holds" } } }
            td role="cell" data-name="Source" { (over.source) }
            td role="cell" data-name="Ends in" { time datetime=(over.ends_at) { (words::seconds(over.ends_in_s)) } }
            td role="cell" data-name="By" { (over.by) }
            td role="cell" data-name="Reason" { (over.reason.as_deref().unwrap_or("\u{2013}")) }
        }
    }
}
