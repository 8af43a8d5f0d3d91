// The link between sentences and products, keyboard focus across redraws, and the light/dark switch.
// Everything is delegated from the document, because Gradio replaces the panels' HTML while text streams.
(() => {
  const light = (key) => {
    document.querySelectorAll("[data-seg].lit").forEach((el) => el.classList.remove("lit"));
    document.body.classList.toggle("slim-linked", Boolean(key));
    if (key) document.querySelectorAll(`[data-seg="${CSS.escape(key)}"]`).forEach((el) => el.classList.add("lit"));
  };
  const keyOf = (target) => target instanceof Element && target.closest("[data-seg]")?.dataset.seg;
  document.addEventListener("mouseover", (event) => light(keyOf(event.target)));
  document.addEventListener("focusin", (event) => light(keyOf(event.target)));
  document.addEventListener("focusout", () => light(""));
  document.addEventListener("click", (event) => { const key = keyOf(event.target); if (key) light(key); });

  // A click is answered at once, even while the server lets it wait: the first redraw ends the waiting.
  const ask = () => {
    document.body.classList.add("slim-asked");
    const panel = document.querySelector("#reasoning");
    const seen = new MutationObserver(() => { document.body.classList.remove("slim-asked"); seen.disconnect(); });
    if (panel) seen.observe(panel, { childList: true, subtree: true, characterData: true });
  };

  // On a phone the story runs top to bottom: follow it, and unfold a finished card on demand.
  const narrow = () => window.matchMedia("(max-width: 768px)").matches;
  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const run = event.target.closest("#run");
    if (run && !run.disabled) ask();
    if (run && narrow())
      document.querySelector("#beat-2")?.scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
    const fold = event.target.closest(".fold");
    if (fold) fold.setAttribute("aria-expanded", String(fold.closest(".card").classList.toggle("unfolded")));
  });

  // The way from a list to the lens below it, which opens.
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("[data-open]");
    const box = link && document.getElementById(link.dataset.open);
    if (!box) return;
    box.querySelector(".label-wrap:not(.open)")?.click();
    // once it is open, the page is long enough to bring its head to the top
    setTimeout(() => box.scrollIntoView({ behavior: calm() ? "auto" : "smooth" }), 150);
  });

  // Every choice of what ranks says on hover what it does; the chosen one's line stands below as text.
  document.addEventListener("mouseover", (event) => {
    const choice = event.target instanceof Element && event.target.closest("#ranker label");
    const lines = document.querySelector("#ranker-help [data-help]");
    const name = choice && choice.querySelector("input")?.value;
    if (name && lines) choice.title = JSON.parse(lines.dataset.help)[name] || "";
  });

  // A redrawn list loses the focused button: give the focus back to the same button of the moved row.
  let wanted = null;
  const lists = "#history, #what-if-history";
  const panel = () => wanted && document.getElementById(wanted.list);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-act]");
    const list = button && button.closest(lists);
    if (!list) return;
    const row = Number(button.dataset.row || 0), act = button.dataset.act;
    const to = act === "up" ? row - 1 : act === "down" ? row + 1 : row;
    wanted = { list: list.id, act, label: button.getAttribute("aria-label"), row: to, until: Date.now() + 3000 };
  }, true);
  new MutationObserver(() => {
    // hits of a search that has just been added or cleared may still arrive: an empty box shows none
    for (const [found, search] of [["#hits", "#search"], ["#what-if-hits", "#what-if-search"]]) {
      const hits = document.querySelector(found), box = document.querySelector(`${search} :is(input, textarea)`);
      if (hits && box) hits.classList.toggle("off", !box.value);
    }
    if (!wanted || Date.now() > wanted.until || !panel()) return;
    const rows = panel().querySelectorAll("li[data-row]");
    const active = document.activeElement;
    if (!rows.length || (active && active !== document.body && !panel().contains(active))) return;
    const row = [...rows].find((li) => Number(li.dataset.row) === wanted.row) || rows[rows.length - 1];
    const button = row.querySelector(`[data-act="${wanted.act}"]:not([disabled])`) || row.querySelector("button:not([disabled])");
    const moves = !["remove", "clear", "reset"].includes(wanted.act);
    const title = (label) => label.slice(label.indexOf(": "));
    if (!button || (moves && title(button.getAttribute("aria-label")) !== title(wanted.label))) return; // not redrawn yet
    if (button !== active) button.focus();
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"] });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("#theme-switch")) return;
    const dark = !document.body.classList.contains("dark");
    try { localStorage.setItem("slim-theme", dark ? "dark" : "light"); } catch { /* storage may be off */ }
    document.body.classList.toggle("dark", dark);
  });
  const restore = () => {
    let kept = null;
    try { kept = localStorage.getItem("slim-theme"); } catch { /* storage may be off */ }
    if (kept && !new URLSearchParams(location.search).has("__theme")) document.body.classList.toggle("dark", kept === "dark");
  };
  // Gradio sets the body's class itself once it has mounted, which is later than the load event.
  const keep = () => {
    restore();
    new MutationObserver(restore).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };
  if (document.body) keep();
  else document.addEventListener("DOMContentLoaded", keep);
})();
