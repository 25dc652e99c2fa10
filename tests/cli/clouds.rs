//! The commands that need the configuration, and those that read clouds.

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use nodepool::model::{ImageId, ImageState, WishKind};

use crate::bench::{Bench, ago};

/// A project whose Keystone, Nova and Glance answer with these servers and images.
async fn cloud(servers: Value, images: Value) -> MockServer {
    let server = MockServer::start().await;
    let service = |kind: &str, path: &str| {
        let url = format!("{}{path}", server.uri());
        json!({"type": kind, "endpoints": [{"id": kind, "interface": "public", "region_id": "one", "url": url}]})
    };
    let token = json!({"token": {
        "issued_at": "2026-11-21T10:00:00.000000Z", "expires_at": "2099-11-21T12:00:00.000000Z",
        "project": {"id": "p-1", "name": "ci"},
        "catalog": [service("identity", "/identity"), service("compute", "/compute/v2.1"), service("image", "/image")]}});
    let token = ResponseTemplate::new(201).insert_header("X-Subject-Token", "t").set_body_json(token);
    Mock::given(method("POST"))
        .and(path("/identity/v3/auth/tokens"))
        .respond_with(token)
        .mount(&server)
        .await;
    let described = json!({"version": {"id": "v2.1", "min_version": "2.1", "version": "2.93", "links": []}});
    for (place, body) in [
        ("/compute/v2.1/", described),
        ("/compute/v2.1/servers/detail", json!({ "servers": servers })),
        ("/image/v2/images", json!({ "images": images })),
    ] {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method("GET")).and(path(place)).respond_with(answer).mount(&server).await;
    }
    server
}

/// A configuration with one label on providers at these Keystones; the last provider has one more image.
async fn bench(auth_urls: &[String]) -> Bench {
    let numbers = 1..=auth_urls.len();
    let offers: Vec<String> =
        numbers.clone().map(|number| format!("      - name: cloud{number}\n")).collect();
    let image = |name: &str| {
        format!(
            "      - name: {name}\n        base-image: debian\n        min-ram: 1\n        setup: setup.sh\n        \
             private-key: key\n"
        )
    };
    let provider = |(number, url): (usize, &String)| {
        let jessie = image("jessie");
        format!(
            "  - name: cloud{number}\n    username: robot\n    password: open-sesame\n    project-name: ci\n    \
             auth-url: {url}\n    max-servers: 5\n    images:\n{jessie}"
        )
    };
    let providers: Vec<String> = numbers.zip(auth_urls).map(provider).collect();
    let lines = [
        "script-dir: scripts\nlabels:\n  - name: ci-jessie\n    image: jessie\n    providers:\n",
        &offers.concat(),
        "providers:\n",
        &providers.concat(),
        &image("unused"),
        "targets:\n  - name: jenkins1\n",
    ]
    .concat();
    let bench = Bench::configured(&lines).await;
    std::fs::create_dir(bench.folder.path().join("scripts")).unwrap();
    bench.script("scripts/setup.sh");
    bench.script("key");
    bench
}

fn nowhere() -> String {
    // Port 9 of this machine is where nobody listens.
    "http://127.0.0.1:9/identity".to_owned()
}

#[tokio::test]
async fn service_type_and_service_name_choose_among_compute_services() {
    let bench = bench(&[nowhere()]).await;
    let cloud = cloud(json!([{"id": "s-1", "name": "by-hand", "status": "ACTIVE"}]), json!([])).await;
    let service = |kind: &str, name: &str, path: &str| {
        let url = format!("{}{path}", cloud.uri());
        json!({"type": kind, "name": name, "endpoints": [{"interface": "public", "region_id": "one", "url": url}]})
    };
    let catalog = [
        service("compute", "nova", "/elsewhere/v2.1"),
        service("compute-ci", "other", "/elsewhere/v2.1"),
        service("compute-ci", "nova", "/compute/v2.1"),
    ];
    let token = json!({"token": {
        "issued_at": "2026-11-21T10:00:00.000000Z", "expires_at": "2099-11-21T12:00:00.000000Z",
        "project": {"id": "p-1", "name": "ci"}, "catalog": catalog}});
    let token = ResponseTemplate::new(201).insert_header("X-Subject-Token", "t").set_body_json(token);
    let login = Mock::given(method("POST")).and(path("/identity/v3/auth/tokens"));
    login.respond_with(token).with_priority(1).mount(&cloud).await;
    let yaml = bench.folder.path().join("nodepool.yaml");
    let config = std::fs::read_to_string(&yaml).unwrap();
    let url = format!("auth-url: {}/identity", cloud.uri());
    let write = |more: &str| {
        let keys = format!("{url}{more}");
        std::fs::write(&yaml, config.replace(&format!("auth-url: {}", nowhere()), &keys)).unwrap();
    };
    for (more, found) in [
        ("", false),
        ("\n    service-type: compute-ci", false),
        ("\n    service-type: compute-ci\n    service-name: nova", true),
    ] {
        write(more);
        let ran = bench.run(&["alien-list"]).await;
        assert_eq!((ran.status == 0, ran.out.contains("by-hand")), (found, found), "{more}: {ran:?}");
    }
    let shown = bench.run(&["config-show"]).await.out;
    assert!(shown.contains("service-type: compute-ci\n"), "{shown}");
    write("\n    service-type: compute-ci\n    service-name: absent");
    let ran = bench.run(&["alien-list"]).await;
    assert!(
        ran.err.contains("no public URL of a compute-ci service named absent in region any"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn the_log_goes_where_l_says() {
    let bench = bench(&[nowhere()]).await;
    let cloud = cloud(json!([{"id": "s-1", "name": "by-hand", "status": "ACTIVE"}]), json!([])).await;
    let yaml = bench.folder.path().join("nodepool.yaml");
    let config = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, config.replace(&nowhere(), &format!("{}/identity", cloud.uri()))).unwrap();
    let logs = bench.folder.path().join("logs");
    bench.write_file("log.yaml", &format!("level: error\ndirectory: {}\n", logs.display()));
    let ran = bench.run(&["-l", "log.yaml", "alien-list"]).await;
    assert_eq!((ran.status, ran.rows().len(), ran.err.as_str()), (0, 1, ""), "{ran:?}");
    let debug = std::fs::read_to_string(logs.join("debug.log")).unwrap();
    assert!(debug.contains("nodepool.http") && !debug.contains("open-sesame"), "{debug}");
    let ran = bench.run(&["-l", "absent.yaml", "alien-list"]).await;
    assert_eq!((ran.status, ran.rows().len()), (0, 1), "a command does what it is for: {ran:?}");
    assert!(ran.err.contains("-l cannot be used") && ran.err.contains("absent.yaml"), "{}", ran.err);
}

#[tokio::test]
async fn aliens_are_what_does_not_carry_our_tag() {
    let bench = bench(&[nowhere()]).await;
    let ours = bench.store.installation().await.unwrap();
    let tag = |installation: &str| {
        json!({"nodepool_installation": installation, "nodepool_owner": "node", "nodepool_owner_id": "1",
            "nodepool_attempt": "a-1"})
    };
    let server = |id: &str, name: &str, metadata: Value, addresses: Value| json!({"id": id, "name": name, "status": "ACTIVE", "metadata": metadata, "addresses": addresses});
    let address = |ip: &str, kind: &str| json!({"version": 4, "addr": ip, "OS-EXT-IPS:type": kind});
    let image = |id: &str, name: Value, kind: &str, marks: Value| {
        let mut image = json!({"id": id, "name": name, "status": "active", "image_type": kind});
        image.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
        image
    };
    let cloud = cloud(
        json!([
            server("s-3", "zz-other-pool", tag("elsewhere"), json!({})),
            server("s-1", "ci-jessie-1", tag(&ours), json!({"public": [address("192.0.2.1", "fixed")]})),
            server(
                "s-2",
                "by-hand",
                json!({}),
                json!({"private": [
                address("10.0.0.2", "fixed"), address("192.0.2.2", "floating")]})
            ),
        ]),
        json!([
            image("i-1", "jessie-1486399717".into(), "snapshot", tag(&ours)),
            image("i-2", Value::Null, "snapshot", json!({})),
            image("i-3", "debian".into(), "base", json!({})),
        ]),
    )
    .await;
    let yaml = bench.folder.path().join("nodepool.yaml");
    let config = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, config.replace(&nowhere(), &format!("{}/identity", cloud.uri()))).unwrap();

    let ran = bench.run(&["alien-list"]).await;
    assert_eq!(
        ran.out,
        "\
+----------+---------------+-----------+-----------+
| Provider | Hostname      | Server ID | IP        |
+----------+---------------+-----------+-----------+
| cloud1   | by-hand       | s-2       | 192.0.2.2 |
| cloud1   | zz-other-pool | s-3       | None      |
+----------+---------------+-----------+-----------+
"
    );
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let json = bench.run(&["alien-list", "cloud1", "-o", "json"]).await.json();
    assert_eq!((&json[1]["installation"], &json[1]["status"]), (&"elsewhere".into(), &"ACTIVE".into()));

    let ran = bench.run(&["alien-list", "--debug"]).await;
    assert_eq!((ran.status, ran.rows().len()), (0, 2), "{ran:?}");
    assert!(ran.err.contains("nodepool.http") && ran.err.contains("/servers/detail"), "{}", ran.err);
    assert!(!ran.err.contains("open-sesame"), "{}", ran.err);

    let ran = bench.run(&["alien-image-list"]).await;
    assert_eq!(
        ran.out,
        "\
+----------+------+----------+
| Provider | Name | Image ID |
+----------+------+----------+
| cloud1   | None | i-2      |
+----------+------+----------+
"
    );
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// Deleting what is not ours takes its id, a person's yes, and the daemon.
#[tokio::test]
async fn an_alien_goes_only_when_somebody_names_it_and_says_yes() {
    let bench = bench(&[nowhere()]).await;
    let ours = bench.store.installation().await.unwrap();
    let server = |id: &str, name: &str, installation: Option<&str>| {
        let tag = installation.map_or_else(|| json!({}), |installation| {
            json!({"nodepool_installation": installation, "nodepool_owner": "node", "nodepool_owner_id": "1",
                "nodepool_attempt": "a-1"})
        });
        json!({"id": id, "name": name, "status": "ACTIVE", "metadata": tag})
    };
    let servers = json!([
        server("s-3", "zz-other-pool", Some("elsewhere")),
        server("s-1", "ci-jessie-1", Some(&ours)),
        server("s-2", "by-hand", None),
    ]);
    let cloud = cloud(servers, json!([])).await;
    let yaml = bench.folder.path().join("nodepool.yaml");
    let config = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, config.replace(&nowhere(), &format!("{}/identity", cloud.uri()))).unwrap();

    let ran = bench.run(&["alien-list", "--all"]).await;
    let whose: Vec<[String; 2]> = ran.rows().iter().map(|row| [row[3].clone(), row[6].clone()]).collect();
    let whose: Vec<[&str; 2]> = whose.iter().map(|[id, whose]| [id.as_str(), whose.as_str()]).collect();
    assert_eq!(whose, [["s-2", "foreign"], ["s-1", "leaked"], ["s-3", "foreign: installation elsewhere"]]);

    let ran = bench.run(&["alien-delete", "s-2"]).await;
    assert_eq!(ran.status, 1, "a pipe cannot say yes: {ran:?}");
    assert!(ran.err.contains("about to be deleted for good: server s-2 (by-hand) at cloud1"), "{}", ran.err);
    assert_eq!(bench.store.open_wishes().await.unwrap(), []);
    let ran = bench.run(&["alien-delete", "--yes", "s-2", "s-1", "by-hand"]).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.contains("server s-1 is ours: leaked") && ran.err.contains("No server by-hand found."));
    let wishes = bench.store.open_wishes().await.unwrap();
    let wish = WishKind::AlienDelete { provider: "cloud1".to_owned(), server: "s-2".to_owned() };
    assert_eq!(wishes.iter().map(|wish| wish.kind.clone()).collect::<Vec<_>>(), [wish]);
}

#[tokio::test]
async fn a_cloud_that_is_down_does_not_hide_the_others() {
    let up = cloud(json!([{"id": "s-2", "name": "by-hand", "status": "ACTIVE"}]), json!([])).await;
    let bench = bench(&[nowhere(), format!("{}/identity", up.uri())]).await;
    let ran = bench.run(&["alien-list"]).await;
    assert_eq!(ran.status, 3, "{ran:?}");
    assert_eq!(ran.rows().len(), 1);
    assert_eq!(ran.rows()[0][1..3], ["cloud2", "by-hand"]);
    assert!(ran.err.contains("nodepool: warning: provider cloud1 could not be listed: "), "{}", ran.err);
    assert!(ran.err.contains("nodepool: the list is not complete: it lacks cloud1\n  next: "), "{}", ran.err);
    assert!(!ran.err.contains("open-sesame"), "{}", ran.err);

    let ran = bench.run(&["alien-list", "cloud3"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("the providers are: cloud1, cloud2"), "{}", ran.err);
}

#[tokio::test]
async fn image_update_asks_for_each_image_that_is_meant() {
    for (arguments, expected) in [
        (["image-update", "cloud1", "jessie"], &[("cloud1", "jessie")][..]),
        (["image-update", "all", "jessie"], &[("cloud1", "jessie"), ("cloud2", "jessie")]),
        (["image-update", "all", "all"], &[("cloud1", "jessie"), ("cloud2", "jessie")]),
        (["image-update", "cloud2", "unused"], &[("cloud2", "unused")]),
        (["image-update", "all", "unused"], &[("cloud2", "unused")]),
    ] {
        let bench = bench(&[nowhere(), nowhere()]).await;
        let ran = bench.run(&arguments).await;
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(ran.err.matches("nodepoold does not run").count(), 1, "{ran:?}");
        let wishes = bench.store.open_wishes().await.unwrap();
        let asked: Vec<_> = wishes
            .iter()
            .map(|wish| match &wish.kind {
                WishKind::ImageUpdate { provider, image } => (provider.as_str(), image.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(asked, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn image_update_shows_what_is_built_and_refuses_what_is_unknown() {
    let bench = bench(&[nowhere(), nowhere()]).await;
    bench.image("cloud1", "jessie", ImageState::Ready, ago(60)).await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["image-update", "all", "jessie"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let shown: Vec<_> = ran.rows().iter().map(|row| (row[2].clone(), row[8].clone())).collect();
    assert_eq!(shown, [("cloud1".into(), "building".into()), ("cloud2".into(), "building".into())]);
    for (arguments, words) in [
        (["image-update", "cloud3", "jessie"], "there is no provider cloud3"),
        (["image-update", "cloud1", "unused"], "provider cloud1 has no image unused"),
        (["image-update", "all", "trusty"], "no provider has an image trusty"),
    ] {
        let ran = bench.run(&arguments).await;
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.err.contains(words), "{ran:?}");
    }
}

#[tokio::test]
async fn image_delete_marks_the_image() {
    let bench = bench(&[nowhere()]).await;
    bench.image("cloud1", "jessie", ImageState::Ready, ago(60)).await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["image-delete", "1"]).await;
    assert_eq!((ran.status, ran.rows()[0][8].as_str()), (0, "delete"), "{ran:?}");
    assert_eq!(bench.store.image(ImageId(1)).await.unwrap().unwrap().state, ImageState::Delete);
    let ran = bench.run(&["image-delete", "9"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("nodepool: No image '9' found.\n"), "{ran:?}");
}

#[tokio::test]
async fn config_validate_tells_all_errors_and_touches_nothing() {
    let bench = bench(&[nowhere()]).await;
    let ran = bench.run(&["config-validate"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.ends_with("nodepool.yaml: ok (labels: 1, providers: 1, targets: 1)\n"), "{}", ran.out);
    assert_eq!(bench.run(&["config-validate", "-o", "json"]).await.json()["ok"], true);

    let yaml = bench.folder.path().join("nodepool.yaml");
    let config = std::fs::read_to_string(&yaml).unwrap();
    let broken =
        config.replace("image: jessie\n", "image: jessei\n").replace("max-servers: 5", "max-servers: many");
    std::fs::write(&yaml, broken).unwrap();
    let ran = bench.run(&["config-validate"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("jessei") && ran.out.contains("max-servers"), "{}", ran.out);
    assert!(ran.err.contains("the configuration cannot be used"), "{}", ran.err);
    let ran = bench.run(&["config-validate", "-o", "json"]).await;
    let json = ran.json();
    assert_eq!((ran.status, &json["ok"]), (1, &false.into()));
    assert_eq!(json["diagnostics"].as_array().unwrap().len(), 2, "{json}");
    assert!(json["diagnostics"][0]["line"].is_number(), "{json}");

    let ran = bench.run(&["list"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("jessei") && ran.err.contains("config-validate"), "{}", ran.err);
}
