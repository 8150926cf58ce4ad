use super::*;

#[tokio::test]
async fn latency_is_slept_on_the_given_clock() {
    let site = Site::open().await;
    let (travel, latency) = (json!({"min": 7_000, "max": 7_000}), json!({"min": 40_000, "max": 40_000}));
    site.script(json!({"travel_ms": travel, "latency_ms": latency})).await;
    assert_eq!(site.sends(site.set()).await.0, 200);
    assert_eq!(*site.slept.lock().unwrap(), [Duration::from_secs(7), Duration::from_secs(40)]);
    site.close().await;
}

#[tokio::test]
async fn a_lost_answer_ends_the_connection_and_the_set_stands() {
    for client in [Client::builder(), Client::builder().http2_prior_knowledge()] {
        let site = Site::with(client).await;
        site.script(json!({"lost_rate": 1.0})).await;
        let error = site.set().send().await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        site.script(json!({"lost_rate": 0.0})).await;
        let (_, body) = site.sends(site.get(&format!("/v1.0/users/{USER}/presence"))).await;
        assert_eq!(body["activity"], "InACall");
        assert_eq!(site.report().await["requests"]["by_outcome"], json!({"200": 1, "lost": 1}));
        site.close().await;
    }
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_off_when_the_script_ends() {
    let site = Site::open().await;
    site.script(json!({"hang": true})).await;
    let waiting = site.set().send();
    let ending = async {
        while site.report().await["requests"]["by_outcome"]["hung"] != 1 {
            tokio::task::yield_now().await;
        }
        site.sends(site.client.delete(format!("{}/sandbox/faults", site.root))).await
    };
    let (waited, ended) = tokio::join!(waiting, ending);
    assert!(waited.is_err());
    assert_eq!(ended.0, 200);
    assert_eq!(site.sends(site.set()).await.0, 200);
    site.close().await;
}

#[tokio::test]
async fn a_token_request_that_is_given_up_is_no_longer_in_flight() {
    let site = Site::open().await;
    site.script(json!({"token": {"hang": true}})).await;
    let in_flight = async |count: u64| {
        while site.report().await["tokens"]["in_flight"] != count {
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(site.ask_token("").await.0, 400, "what is no request is answered all the same");
    let form = form("s");
    tokio::select! {
        answer = site.ask_token(&form) => panic!("a hung endpoint answered: {answer:?}"),
        () = in_flight(1) => {}
    }
    in_flight(0).await;
    assert_eq!(site.report().await["tokens"]["max_in_flight"], 1);
    site.close().await;
}

#[tokio::test]
async fn every_form_of_a_broken_body_goes_out() {
    let site = Site::open().await;
    let answer = async |body: &str| {
        site.script(json!({"outage": {"status": 502, "body": body}})).await;
        site.set().send().await.unwrap()
    };
    assert_eq!(read(answer("empty").await).await, (502, json!("")));
    assert!(read(answer("html").await).await.1.as_str().unwrap().contains("502 Bad Gateway"));
    assert!(read(answer("broken_json").await).await.1.as_str().unwrap().starts_with("{\"error\""));
    let truncated = answer("truncated").await;
    assert_eq!(header(&truncated, "content-length"), "4096");
    assert!(truncated.bytes().await.is_err());
    let mut enormous = answer("enormous").await;
    let mut taken = 0;
    while taken < 4 << 20 {
        taken += enormous.chunk().await.unwrap().expect("there is more").len();
    }
    drop(enormous);
    assert_eq!(read(answer("envelope").await).await.1["error"]["code"], "BadGateway");
    site.close().await;
}

#[tokio::test]
async fn both_protocols_are_spoken_without_tls() {
    let site = Site::with(Client::builder().http2_prior_knowledge()).await;
    let response = site.set().send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
    site.close().await;
    let site = Site::open().await;
    assert_eq!(site.set().send().await.unwrap().version(), reqwest::Version::HTTP_11);
    site.close().await;
}

#[tokio::test]
async fn stopping_cuts_off_what_hangs_and_refuses_what_comes() {
    let mut site = Site::open().await;
    site.script(json!({"hang": true})).await;
    let hung = site.set().send();
    let stopping = async {
        while site.report().await["requests"]["by_outcome"]["hung"] != 1 {
            tokio::task::yield_now().await;
        }
        drop(site.stop.take());
        site.tasks.join_next().await
    };
    let (hung, stopped) = tokio::join!(hung, stopping);
    assert!(hung.is_err(), "what hangs is cut off within the bound");
    stopped.unwrap().unwrap();
    assert!(site.set().send().await.unwrap_err().is_connect());
    assert_eq!(site.service.lock().unwrap().report(MonoTime::FAR).requests.total, 1);
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let error = listen("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ListenError::NotLoopback(_)));
}
