// Keeps an open page up to date. The page is whole without it; this puts changed parts in place, counts ages and has the
// choice of nodes take effect at once.
"use strict";
(() => {
  const SILENCE = 30_000; // The server says something every 10 s.
  const AGAIN = 10_000;
  const status = document.getElementById("live");
  const form = document.getElementById("filter");
  let ahead = Number(document.body.dataset.now) - Date.now(); // How far the server's clock is ahead of this one.
  let stream = null;
  let heard = Date.now();
  let retry = 0;
  let typing = 0;

  const say = (text, good) => {
    if (status.textContent !== text) status.textContent = text;
    status.className = good ? "good" : "bad";
  };

  const span = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 120) return `${whole} s`;
    const minutes = Math.floor(whole / 60);
    if (minutes < 120) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
  };

  const count = (within) => {
    const now = Date.now() + ahead;
    for (const time of within.querySelectorAll("time[data-clock]")) {
      const moment = Date.parse(time.dateTime);
      if (Number.isNaN(moment)) continue;
      if (!time.title) time.title = time.textContent;
      const past = (now - moment) / 1000;
      const text = time.dataset.clock === "until" ? (past < 0 ? `in ${span(-past)}` : "now") : `${span(past)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // What stays as it is when a part is put in place of an older one: the focus, what was opened, how far it was scrolled.
  const name = (element) => element && (element.id || element.getAttribute("href") || element.getAttribute("aria-label"));
  const put = (id, html) => {
    const place = document.getElementById(id);
    if (!place) return;
    const focused = place.contains(document.activeElement) ? name(document.activeElement) : null;
    const open = [...place.querySelectorAll("details")].map((details) => details.open);
    const across = [...place.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    place.innerHTML = html;
    place.querySelectorAll("details").forEach((details, at) => { details.open = Boolean(open[at]); });
    place.querySelectorAll(".scroll").forEach((box, at) => { box.scrollLeft = across[at] || 0; });
    if (focused) {
      const again = [...place.querySelectorAll("a, summary, [tabindex]")].find((element) => name(element) === focused);
      if (again) again.focus({ preventScroll: true });
    }
    if (id === "choices") offer(place);
    count(place);
  };

  // What can be chosen changes with the configuration; what is chosen stays.
  const offer = (place) => {
    for (const told of place.querySelectorAll("select")) {
      const field = form.elements[told.dataset.field];
      const names = (select) => [...select.options].map((option) => option.value).join("\n");
      if (names(field) === names(told)) continue;
      const chosen = field.value;
      field.replaceChildren(...[...told.options].map((option) => option.cloneNode(true)));
      field.value = chosen;
      if (field.value !== chosen) field.value = "";
    }
  };

  const hear = (event) => {
    heard = Date.now();
    const told = JSON.parse(event.data);
    ahead = told.now - heard;
    return told;
  };

  const listen = () => {
    clearTimeout(retry);
    if (stream) stream.close();
    const query = new URLSearchParams(location.search);
    query.set("view", document.body.dataset.view);
    stream = new EventSource(`/live?${query}`);
    heard = Date.now();
    stream.addEventListener("parts", (event) => {
      const { parts } = hear(event);
      for (const [id, html] of Object.entries(parts)) put(id, html);
      say("live", true);
    });
    stream.addEventListener("beat", (event) => { hear(event); say("live", true); });
    stream.addEventListener("trouble", (event) => say(`no news: ${hear(event).text}`, false));
    stream.addEventListener("error", () => {
      say("not live: trying again", false);
      // A browser comes back by itself unless it was refused.
      if (stream.readyState === EventSource.CLOSED) retry = setTimeout(listen, AGAIN);
    });
  };

  const choose = (address) => {
    history.replaceState(null, "", address);
    listen();
  };

  if (form) {
    const chosen = () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
      choose(query.size ? `/?${query}` : "/");
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); chosen(); });
    form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(chosen, 200); });
    document.getElementById("all").addEventListener("click", (event) => {
      event.preventDefault();
      for (const field of form.elements) if (field.name) field.value = "";
      chosen();
      form.elements.q.focus();
    });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-page]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(link.href);
      document.getElementById("nodes").scrollIntoView();
    });
    document.addEventListener("keydown", (event) => {
      const writes = event.target.closest("input, select, textarea");
      if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        form.elements.q.focus();
      } else if (event.key === "Escape" && event.target === form.elements.q && event.target.value) {
        event.preventDefault();
        event.target.value = "";
        chosen();
      }
    });
  }

  setInterval(() => {
    count(document);
    if (stream.readyState !== EventSource.CLOSED && Date.now() - heard > SILENCE) listen();
  }, 1000);
  // A page that comes back out of the browser's memory has a stream no more.
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  addEventListener("pagehide", () => stream.close());
  count(document);
  listen();
})();
