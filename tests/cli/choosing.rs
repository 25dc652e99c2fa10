//! Which rows a list shows and in which order, in which form, and commands for several rows at once.

use nodepool::model::{ImageState, NodeId, NodeState, NodeStep, WishKind};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bench::{Bench, Ran, ago};

/// Nodes 1 to 5 of two labels at two providers, in several states, each older than the next.
async fn bench() -> Bench {
    let lines = "labels: []\nproviders: []\ntargets: [{name: jenkins1}, {name: jenkins2}]\n";
    let bench = Bench::configured(lines).await;
    bench.node("east", "ci-jessie", NodeState::Ready, ago(5000)).await;
    bench.node("west", "ci-jessie", NodeState::Used, ago(4000)).await;
    bench.node("east", "ci-trusty", NodeState::Building(NodeStep::Boot), ago(3000)).await;
    bench.node("west", "ci-trusty", NodeState::Ready, ago(2000)).await;
    bench.node("west", "ci-trusty", NodeState::Delete, ago(1000)).await;
    bench
}

fn ids(ran: &Ran) -> Vec<String> {
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
    ran.rows().iter().map(|row| row[1].clone()).collect()
}

#[tokio::test]
async fn a_list_shows_what_fits_a_value_of_each_option() {
    let bench = bench().await;
    for (arguments, shown) in [
        (&[][..], &["1", "3", "2", "4", "5"][..]),
        (&["--label", "ci-jessie"], &["1", "2"]),
        (&["--label", "ci-jessie,ci-trusty", "--state", "ready"], &["1", "4"]),
        (&["--state", "ready", "--state", "delete", "--provider", "west"], &["4", "5"]),
        (&["--target", "jenkins1", "--state", "used"], &["2"]),
        (&["--target", "jenkins2"], &[]),
    ] {
        let arguments = [&["list"], arguments].concat();
        assert_eq!(ids(&bench.run(&arguments).await), shown, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_list_is_sorted_as_asked() {
    let bench = bench().await;
    for (sort, shown) in [
        ("id", ["1", "2", "3", "4", "5"]),
        ("-id", ["5", "4", "3", "2", "1"]),
        ("age", ["5", "4", "3", "2", "1"]),
        ("-age", ["1", "2", "3", "4", "5"]),
        ("-provider,id", ["2", "4", "5", "1", "3"]),
        ("state,-id", ["3", "4", "1", "2", "5"]),
        ("ip", ["1", "2", "3", "4", "5"]),
    ] {
        assert_eq!(ids(&bench.run(&["list", "--sort", sort]).await), shown, "{sort}");
    }
}

#[tokio::test]
async fn a_mistyped_name_gets_a_suggestion_and_the_names_that_there_are() {
    let bench = bench().await;
    bench.image("east", "jessie", ImageState::Ready, ago(60)).await;
    for (arguments, told) in [
        (
            ["list", "--label", "ci-jesise"],
            "nodepool: there is no label ci-jesise; did you mean ci-jessie?\n  next: the labels are: ci-jessie, ci-trusty\n",
        ),
        (
            ["list", "--provider", "mars"],
            "nodepool: there is no provider mars\n  next: the providers are: east, west\n",
        ),
        (
            ["list", "--target", "jenkins3"],
            "nodepool: there is no target jenkins3; did you mean jenkins1?\n  next: the targets are: jenkins1, jenkins2\n",
        ),
        (
            ["image-list", "--image", "jesse"],
            "nodepool: there is no image jesse; did you mean jessie?\n  next: the images are: jessie\n",
        ),
    ] {
        let ran = bench.run(&arguments).await;
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (1, "", told), "{arguments:?}");
    }
}

#[tokio::test]
async fn each_form_of_a_list_tells_the_same() {
    let bench = bench().await;
    let json = bench.run(&["list", "-o", "json", "--sort", "id"]).await.json();
    let yaml: serde_json::Value =
        serde_yaml::from_str(&bench.run(&["list", "-o", "yaml", "--sort", "id"]).await.out).unwrap();
    let csv = bench.run(&["list", "-o", "csv", "--sort", "id"]).await.out;
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        csv.lines().next().unwrap(),
        "id,provider,az,label,target,hostname,nodename,server_id,ip,ip_private,image,image_id,state,step,state_time,\
         age_seconds,created,held_until,comment,reason,primary,held_by,job,job_started,manager"
    );
    assert_eq!((json.as_array().unwrap().len(), lines.len()), (5, 6));
    for (row, cells) in json.as_array().unwrap().iter().zip(&lines[1..]) {
        assert_eq!(row["id"].to_string(), cells[0]);
        assert_eq!(row["hostname"], cells[5]);
        assert_eq!(row["state"], cells[12]);
        assert_eq!(row["step"].as_str().unwrap_or(""), cells[13]);
    }
    assert_eq!(yaml[2]["step"], "boot");
    // No rows: still the names of the columns, so that what reads them finds them.
    let none = bench.run(&["list", "-o", "csv", "--target", "jenkins2"]).await.out;
    assert_eq!(none.lines().collect::<Vec<_>>(), csv.lines().take(1).collect::<Vec<_>>());
    let images = bench.run(&["image-list", "-o", "csv"]).await.out;
    assert!(
        images.starts_with("id,provider,image,hostname,version,image_id,server_id,state,step,"),
        "{images}"
    );
}

#[tokio::test]
async fn a_cell_with_a_comma_a_quote_or_a_line_break_stays_one_cell_of_csv() {
    let bench = Bench::new().await;
    let mut node = bench.node("east", "ci-jessie", NodeState::Hold, ago(5)).await;
    node.comment = Some("mine, \"really\"\nmine".to_owned());
    bench.write(&node).await;
    let out = bench.run(&["list", "-o", "csv"]).await.out;
    assert!(out.contains(",\"mine, \"\"really\"\"\nmine\",it was made so,"), "{out}");
}

#[tokio::test]
async fn several_nodes_are_steered_and_unknown_ones_named() {
    let bench = bench().await;
    let ran = bench.run(&["hold", "4", "1,77", "6-9", "--reason", "look"]).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.ends_with("nodepool: Nodes 6-9, 77 not found.\n  next: ready and used nodes can be held: `nodepool list` shows the state of each\n"), "{}", ran.err);
    assert_eq!(ran.err.matches("nodepoold does not run").count(), 1, "told once: {}", ran.err);
    let wishes = bench.store.open_wishes().await.unwrap();
    let held: Vec<_> = wishes
        .iter()
        .map(|wish| match &wish.kind {
            WishKind::Hold { node, comment, .. } => (node.0, comment.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(held, [(4, Some("look")), (1, Some("look"))]);
    assert_eq!(ran.rows().len(), 2);
}

#[tokio::test]
async fn what_is_refused_is_told_and_the_rest_is_done() {
    let bench = bench().await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["hold", "1-5", "99"]).await;
    assert_eq!(ran.status, 1, "{ran:?}");
    let shown: Vec<_> = ran.rows().iter().map(|row| (row[1].clone(), row[10].clone())).collect();
    assert_eq!(shown, [("1".to_owned(), "hold".to_owned()), ("4".to_owned(), "hold".to_owned())]);
    for words in
        ["not everything was done\n", "Node 99 not found.", "node 3 is building (boot)", "node 5 is delete"]
    {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_script_that_deletes_several_is_never_asked() {
    let bench = bench().await;
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["delete", "1-2", "4"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
    for id in [1, 2, 4] {
        assert_eq!(bench.store.node(NodeId(id)).await.unwrap().unwrap().state, NodeState::Delete);
    }
    let ran = bench.run(&["delete", "1-1001"]).await;
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("more than 1000 numbers at once"), "{}", ran.err);
}

#[tokio::test]
async fn several_images_are_deleted() {
    let bench = bench().await;
    for _ in 0..3 {
        bench.image("east", "jessie", ImageState::Ready, ago(60)).await;
    }
    let _daemon = bench.daemon().await;
    let ran = bench.run(&["image-delete", "1", "3", "8-9"]).await;
    assert_eq!((ran.status, ran.rows().len()), (1, 2), "{ran:?}");
    assert!(ran.err.starts_with("nodepool: No images 8-9 found.\n"), "{}", ran.err);
}

#[tokio::test]
async fn watching_on_a_pipe_tells_changes_line_by_line() {
    for command in [&["list", "--watch"][..], &["watch"]] {
        watch_on_a_pipe(command).await;
    }
}

async fn watch_on_a_pipe(command: &[&str]) {
    let bench = bench().await;
    let mut child = bench
        .command(&[command, &["--state", "ready,used", "--label", "ci-trusty"]].concat())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = next(&mut lines).await;
    assert!(first.ends_with(" node 4 ci-trusty west: ready: it was made so"), "{first}");
    let mut node = bench.store.node(NodeId(4)).await.unwrap().unwrap();
    node.state = NodeState::Used;
    let mut node = bench.write(&node).await;
    let second = next(&mut lines).await;
    assert!(second.ends_with(" node 4 ci-trusty west: ready -> used: it was made so"), "{second}");
    node.state = NodeState::Delete;
    bench.write(&node).await;
    let third = next(&mut lines).await;
    assert!(third.ends_with(" node 4 ci-trusty west: used -> not in the list any more"), "{third}");

    let ran = bench.run(&[command, &["-o", "csv"]].concat()).await;
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("use `-o json`"), "{}", ran.err);
}

async fn next(lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) -> String {
    tokio::time::timeout(std::time::Duration::from_secs(60), lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn info_tells_of_what_left_the_configuration_and_has_something_of_ours() {
    let bench = bench().await;
    let known = |name: &str, url: Option<&str>| nodepool::model::KnownTarget {
        name: name.to_owned(),
        url: url.map(str::to_owned),
        ca_file: None,
        api_timeout: std::time::Duration::from_secs(60),
    };
    let targets = [known("old", Some("https://old.example.org")), known("launchers", None)];
    bench.store.keep_targets(&targets).await.unwrap();
    let json = bench.run(&["info", "-o", "json"]).await.json();
    let told = |list: &str| -> Vec<String> {
        let all = json[list].as_array().unwrap().iter();
        all.map(|one| format!("{} {} {} {}", one["name"], one["offers"], one["nodes"], one["left"])).collect()
    };
    assert_eq!(
        told("targets"),
        [
            r#""jenkins1" "nowhere" 5 false"#,
            r#""jenkins2" "nowhere" 0 false"#,
            r#""launchers" "gearman" 0 true"#,
            r#""old" "https://old.example.org" 0 true"#,
        ]
    );
    assert_eq!(told("providers"), [r#""east" null 2 true"#, r#""west" null 3 true"#]);
    let text = bench.run(&["info"]).await.out;
    assert!(
        text.contains("| left the configuration |") && text.contains("| no more: it is cleaned up |"),
        "{text}"
    );
}

#[tokio::test]
async fn info_tells_what_there_is_and_what_holds_it_up() {
    let bench = bench().await;
    let reason = "the cloud said no";
    let last = ago(1);
    bench
        .store
        .record_setback(nodepool::model::SetbackKind::Launch, "east", "ci-jessie", last, reason)
        .await
        .unwrap();
    bench.run(&["hold", "1"]).await;
    let clouds = bench.folder.path().join("clouds.yaml");
    let login =
        "auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: open-sesame, project_name: p}";
    std::fs::write(&clouds, format!("clouds:\n  other: {{{login}}}\n")).unwrap();
    let yaml = bench.folder.path().join("nodepool.yaml");
    let without = std::fs::read_to_string(&yaml).unwrap();
    let provider = "providers: [{name: east, cloud: other, max-servers: 3, images: []}]";
    std::fs::write(&yaml, without.replace("providers: []", provider)).unwrap();
    let ran = bench.run(&["info"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{ran:?}");
    let installation = bench.store.installation().await.unwrap();
    let store = bench.folder.path().join("nodepool.db");
    for words in [
        &format!("\n               {}\n", clouds.display()),
        &format!("Version        {}\n", env!("CARGO_PKG_VERSION")),
        &format!("Installation   {installation}\n"),
        &format!("Store          {}\n", store.display()),
        "nodepoold      does not run: wishes wait until it does\n",
        &format!("Configuration  {}\n", bench.folder.path().join("nodepool.yaml").display()),
        "| hold node 1 |",
        "| launches of ci-jessie at east | closed  | 1        |",
        reason,
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let _daemon = bench.daemon().await;
    let json = bench.run(&["info", "-o", "json"]).await.json();
    assert_eq!((&json["daemon"]["alive"], &json["daemon"]["holder"]), (&true.into(), &"test".into()));
    assert!(json["daemon"]["since"].is_string(), "{json}");
    assert_eq!(json["wishes"].as_array().unwrap().len(), 1);
    assert_eq!(json["setbacks"][0]["reason"], reason);
    assert_eq!(bench.run(&["info", "-o", "csv"]).await.status, 2);
}
