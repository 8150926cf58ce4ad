//! Which metrics there are. Base units; an app is a label, a user never is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::daemon::figures::Figures;
use crate::daemon::meters::{Histogram, Meter};
use crate::keeper::LaneSnapshot;
use crate::keeper::snapshot::Standing;
use crate::keeper::tally::Answers;

/// The figures of a moment as metrics.
#[derive(Debug)]
pub(super) struct Families(pub(super) Arc<Figures>);

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = &*self.0;
        let mut out = Out { encoder };
        daemon(figures, &mut out)?;
        let apps = apps(figures);
        sessions(&apps, &mut out)?;
        requests(&apps, &mut out)?;
        lanes(figures, &apps, &mut out)
    }
}

/// What there is of one app. Two lanes have its name while one of them is being closed.
struct App<'a> {
    name: &'a str,
    lanes: Vec<&'a LaneSnapshot>,
    meter: Option<&'a Meter>,
}

fn apps(figures: &Figures) -> Vec<App<'_>> {
    let mut by_name: BTreeMap<&str, Vec<&LaneSnapshot>> = BTreeMap::new();
    for lane in &figures.snapshot.lanes {
        by_name.entry(&lane.name).or_default().push(lane);
    }
    let app = |(name, lanes)| App { name, lanes, meter: figures.meters.get(name) };
    by_name.into_iter().map(app).collect()
}

impl App<'_> {
    fn count(&self, count: impl Fn(&LaneSnapshot) -> u32) -> i64 {
        self.lanes.iter().map(|lane| i64::from(count(lane))).sum()
    }

    /// The largest of its lanes' figures, where there is any.
    fn most(&self, figure: impl Fn(&LaneSnapshot) -> Option<f64>) -> Option<f64> {
        self.lanes.iter().filter_map(|lane| figure(lane)).reduce(f64::max)
    }

    /// The smallest.
    fn least(&self, figure: impl Fn(&LaneSnapshot) -> Option<f64>) -> Option<f64> {
        self.lanes.iter().filter_map(|lane| figure(lane)).reduce(f64::min)
    }
}

fn daemon(figures: &Figures, out: &mut Out<'_>) -> fmt::Result {
    let hash = figures.config.to_string();
    out.info("build", "Which presenced this is.", ("version", env!("CARGO_PKG_VERSION")))?;
    out.info("config", "The config in force, by its hash.", ("hash", &hash))?;
    let good = !figures.trouble.refused && figures.trouble.last_good.is_none();
    let help =
        "Whether the config file was accepted when it was looked at last: at the start or the last reload.";
    out.gauges("config_last_reload_successful", help, None, [([], i64::from(good))])?;
    let help =
        "When the file was last accepted; 0 if never in this run, which goes on with an older config then.";
    let taken = figures.last_taken.map_or(0.0, timestamp);
    out.gauges("config_last_reload_success_timestamp", help, SECONDS, [([], taken)])?;
    let overrides = i64::try_from(figures.overrides).unwrap_or(i64::MAX);
    out.gauges("overrides", "Overrides in force.", None, [([], overrides)])?;
    let help = "When the daemon last looked at every session again.";
    out.gauges("last_sweep_timestamp", help, SECONDS, figures.last_sweep.map(|at| ([], timestamp(at))))
}

fn sessions(apps: &[App<'_>], out: &mut Out<'_>) -> fmt::Result {
    let states = apps.iter().flat_map(|app| {
        let state = |state, count| ([("app", app.name), ("state", state)], count);
        let late = app.count(|lane| lane.late);
        [
            state("held", app.count(|lane| lane.held) - late),
            state("late", late),
            state("lapsed", app.count(|lane| lane.lapsed)),
            state("parked", app.count(|lane| lane.parked)),
            state("unfunded", app.count(|lane| lane.unfunded)),
            state("pending", app.count(|lane| lane.pending)),
        ]
    });
    let help = "Sessions that are wanted, each in one state: held in good time, held and late with its renewal, past \
                its lapse, refused by Graph, beyond the quota, never granted yet.";
    out.gauges("sessions", help, None, states)?;
    let spent = metered(apps).flat_map(|(app, meter)| {
        let spent = |state, secs| ([("app", app), ("state", state)], secs);
        [
            spent("held", meter.spent.held),
            spent("lapsed", meter.spent.lapsed),
            spent("parked", meter.spent.parked),
        ]
    });
    out.counters("session", "Time that sessions spent in a state, added up.", SECONDS, spent)?;
    let renewals = metered(apps).map(|(app, meter)| ([("app", app)], meter.tally.renewals));
    out.counters("renewals", "Sets granted to sessions that showed the same state already.", None, renewals)?;
    let lapses = metered(apps).map(|(app, meter)| ([("app", app)], meter.tally.lapses));
    out.counters("lapses", "Sessions that lapsed before their renewal was granted.", None, lapses)?;
    let next = |lane: &LaneSnapshot| lane.next_lapse_in.map(|left| left.as_secs_f64());
    let next = apps.iter().filter_map(|app| Some(([("app", app.name)], app.least(next)?)));
    out.gauges("seconds_to_lapse", "Time until the next session lapses, if nothing is renewed.", None, next)
}

fn requests(apps: &[App<'_>], out: &mut Out<'_>) -> fmt::Result {
    let answers = metered(apps).flat_map(|(app, meter)| {
        let tally = &meter.tally;
        [("set", &tally.sets), ("clear", &tally.clears)]
            .into_iter()
            .flat_map(move |(call, answers)| {
                by_outcome(answers).map(move |(outcome, count)| (call, outcome, count))
            })
            .map(move |(call, outcome, count)| ([("app", app), ("call", call), ("outcome", outcome)], count))
    });
    out.counters("requests", "Calls to Graph, by what became of them.", None, answers)?;
    let help = "How long calls to Graph took, from their send to their answer.";
    out.histograms("request_duration", help, metered(apps).map(|(app, meter)| (app, &meter.durations)))?;
    let help = "How long after they were due renewals were sent, repeats included.";
    out.histograms("renewal_lateness", help, metered(apps).map(|(app, meter)| (app, &meter.lateness)))?;
    let in_flight = apps.iter().map(|app| ([("app", app.name)], app.count(|lane| lane.in_flight)));
    out.gauges("requests_in_flight", "Calls to Graph that wait for their answer.", None, in_flight)?;
    let tokens = metered(apps).flat_map(|(app, meter)| {
        let tokens = &meter.tally.tokens;
        [("granted", tokens.granted), ("unreachable", tokens.unreachable), ("rejected", tokens.rejected)]
            .map(|(outcome, count)| ([("app", app), ("outcome", outcome)], count))
    });
    out.counters("token_requests", "Token requests, by what became of them.", None, tokens)
}

fn lanes(figures: &Figures, apps: &[App<'_>], out: &mut Out<'_>) -> fmt::Result {
    let each = |figure: &dyn Fn(&LaneSnapshot) -> Option<f64>| -> Vec<_> {
        apps.iter().filter_map(|app| Some(([("app", app.name)], app.most(figure)?))).collect()
    };
    let quota = |lane: &LaneSnapshot| Some(f64::from(lane.quota_used) / f64::from(lane.quota.max(1)));
    let help = "The share of the quota that our own requests take.";
    out.gauges("quota_used", help, Some(&Unit::Other("ratio".to_owned())), each(&quota))?;
    let help = "The share of its term after which a session is renewed.";
    out.gauges("period_fraction", help, None, each(&|lane| Some(lane.fraction)))?;
    let up = |lane: &LaneSnapshot| Some(f64::from(u8::from(can_renew(lane))));
    let up = apps.iter().filter_map(|app| Some(([("app", app.name)], app.least(up)?)));
    let help = "Whether the app can renew: 0 without a token, in an outage, and while every user is refused.";
    out.gauges("app_up", help, None, up)?;
    let closed = |lane: &LaneSnapshot| match lane.standing {
        Standing::Closed(until) => Some(timestamp(figures.wall + until.since(figures.at))),
        Standing::Open | Standing::Probing | Standing::Parked | Standing::NoToken => Some(0.0),
    };
    let help = "Until when nothing is sent because Graph answered 429; 0 when it has not.";
    out.gauges("lane_closed_until_timestamp", help, SECONDS, each(&closed))?;
    let token = |lane: &LaneSnapshot| Some(timestamp(figures.wall + lane.token_good_for?));
    out.gauges("token_expiry_timestamp", "When the token at hand ends.", SECONDS, each(&token))?;
    let credential = |lane: &LaneSnapshot| {
        Some(
            Duration::try_from(figures.ends.get(&lane.key)?.at.duration_since(jiff::Timestamp::UNIX_EPOCH))
                .ok()?,
        )
        .map(|since| since.as_secs_f64())
    };
    let ends = apps.iter().filter_map(|app| Some(([("app", app.name)], app.least(credential)?)));
    let help = "When the secret or certificate ends, where that is known.";
    out.gauges("credential_expiry_timestamp", help, SECONDS, ends)
}

const SECONDS: Option<&Unit> = Some(&Unit::Seconds);

fn metered<'a>(apps: &'a [App<'a>]) -> impl Iterator<Item = (&'a str, &'a Meter)> {
    apps.iter().filter_map(|app| Some((app.name, app.meter?)))
}

fn by_outcome(answers: &Answers) -> [(&'static str, u64); 5] {
    [
        ("granted", answers.granted),
        ("throttled", answers.throttled),
        ("token_rejected", answers.token_rejected),
        ("refused", answers.refused),
        ("lost", answers.lost),
    ]
}

/// Whether it may send, or will soon without anybody's doing, and for someone who is not refused. What has no sessions
/// has nothing to renew.
fn can_renew(lane: &LaneSnapshot) -> bool {
    let everyone = lane.sessions - lane.unfunded.min(lane.sessions);
    everyone == 0 || lane.parked < everyone && matches!(lane.standing, Standing::Open | Standing::Closed(_))
}

fn timestamp(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Writes families, each with the prefix.
struct Out<'a> {
    encoder: DescriptorEncoder<'a>,
}

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Out<'_> {
    fn info(&mut self, name: &str, help: &str, label: (&str, &str)) -> fmt::Result {
        let name = format!("presenced_{name}");
        self.encoder.encode_descriptor(&name, help, None, MetricType::Info)?.encode_info(&[label])
    }

    fn gauges<'l, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        series: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> fmt::Result {
        let name = format!("presenced_{name}");
        let mut family = self.encoder.encode_descriptor(&name, help, unit, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counters<'l, const N: usize, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        series: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> fmt::Result {
        let name = format!("presenced_{name}");
        let mut family = self.encoder.encode_descriptor(&name, help, unit, MetricType::Counter)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// All of them are of seconds.
    fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (&'l str, &'l Histogram)>,
    ) -> fmt::Result {
        let name = format!("presenced_{name}");
        let mut family = self.encoder.encode_descriptor(&name, help, SECONDS, MetricType::Histogram)?;
        for (app, Histogram { counts, sum }) in series {
            let bounds = Histogram::BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(*counts).collect();
            let count = counts.iter().sum();
            let labels = [("app", app)];
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(*sum, count, &buckets, None)?;
        }
        Ok(())
    }
}
