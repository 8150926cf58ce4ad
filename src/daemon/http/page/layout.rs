//! The page around its parts: head, headline, what is wrong with the config.

use maud::{DOCTYPE, Markup, html};

use super::{View, cards, list, overrides, strip, words};
use crate::daemon::control::wire::Released;

/// The whole page.
pub(super) fn page(view: &View) -> Markup {
    let well = view.unheld.is_empty();
    let (held, wanted) = (view.status.sessions.held, view.status.sessions.wanted);
    let title = format!("{} of {} held \u{b7} presenced", words::count(held), words::count(wanted));
    let body = html! {
        a.skip href="#sessions" { "Skip to the sessions" }
        (strip::patterns())
        header #top data-live { (head(view, well)) }
        main {
            div #notices data-live { (notices(view)) }
            section aria-labelledby="apps-title" {
                h2 #apps-title { "Apps" }
                div #apps data-live { (cards::cards(view)) }
            }
            (list::section(view))
            section #overrides data-live aria-labelledby="overrides-title" { (overrides::section(view)) }
        }
        footer {
            p {
                "Times are UTC. For one user in full: " code { "presenced status USER" } " and "
                code { "presenced why USER" } "."
            }
            noscript { p { "Without a script this page stands still: load it again to see what is new." } }
        }
        script src="page.js" defer {}
    };
    document(&title, &body)
}

/// A page that says why there is none.
pub(super) fn problem(message: &str) -> Markup {
    document(
        "presenced",
        &html! {
            main { div.notice.bad role="alert" { h1 { "presenced" } p { (message) } p { a href="" { "Try again" } } } }
        },
    )
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="page.css";
                link rel="icon" type="image/svg+xml" href="icon.svg";
            }
            body { (body) }
        }
    }
}

fn head(view: &View, well: bool) -> Markup {
    let status = &view.status;
    let sessions = &status.sessions;
    let words = match (sessions.wanted, well) {
        (0, true) => "No session is wanted".to_owned(),
        (_, true) => "Every session is held".to_owned(),
        (wanted, false) if sessions.held == wanted => "Every session is held, but not all is well".to_owned(),
        (wanted, false) => {
            format!("{} of {} sessions are held", words::count(sessions.held), words::count(wanted))
        }
    };
    html! {
        div.headline {
            p.brand { "presenced" }
            // Read out when it changes, and only then.
            div role="status" { h1 #headline .well[well] .bad[!well] { (words) } }
            @if !well {
                ul.reasons { @for reason in &view.unheld { li { (reason) } } }
            }
        }
        dl.facts {
            div { dt { "As of" } dd { time #as-of datetime=(status.at) { (words::time_of_day(&status.at)) } } }
            div { dt { "Stage" } dd { (status.stage) } }
            div { dt { "Config" } dd.mono { (status.config) } }
            div { dt { "Last reload" } dd { (last_reload(view)) } }
            div { dt { "Running since" } dd { time datetime=(status.started) { (words::time(&status.started)) } } }
            div { dt { "Version" } dd { (status.version) } }
        }
    }
}

fn last_reload(view: &View) -> Markup {
    html! {
        @match &view.status.last_reload {
            None => "none yet",
            Some(reload) => {
                time datetime=(reload.at) { (words::time(&reload.at)) }
                @if reload.refused.is_some() { ", " strong.bad { "refused" } } @else { ", taken" }
            }
        }
    }
}

fn notices(view: &View) -> Markup {
    let status = &view.status;
    let refused = status.last_reload.as_ref().and_then(|reload| Some((reload, reload.refused.as_ref()?)));
    html! {
        @if let Some((reload, error)) = refused {
            div.notice.bad {
                h2 { "The reload of " (words::time(&reload.at)) " was refused" }
                pre tabindex="0" aria-label="The error" { (error) }
                p { (words::sentence(status.config_trouble.as_deref().unwrap_or("the config before it stays in force"))) }
                p { "All that is wrong: " code { "presenced check" } "." }
            }
        } @else if let Some(trouble) = &status.config_trouble {
            div.notice.bad { h2 { "The config needs a look" } p { (words::sentence(trouble)) } }
        }
        @match status.released {
            Some(Released::All) => {
                div.notice { h2 { "Everyone is released" } p { "Nothing is held for anyone until " code { "presenced resume" } "." } }
            }
            Some(Released::Users(users)) => {
                div.notice { h2 { (words::size(users)) @if users == 1 { " user is released" } @else { " users are released" } }
                    p { "Nothing is held for them until " code { "presenced resume" } "." } }
            }
            None => {}
        }
    }
}
