// The controls of the cards under edit. Gradio calls this once, with `element` (the panel), `trigger` and `watch`.
// Texts are only ever set as text: nothing here writes HTML.
const SOON = 10000; // ms in which a redraw may still answer an action
let wanted = null; // where the focus belongs after the redraw that answers an action
let held = null; // finds again what a person has put the focus on, when a redraw takes it away
let placing = false; // the focus is being put somewhere from here, not by the person
let draft = null; // what is being written: { key | step, value, before }
let open = ""; // key of the segment whose menu is open
const unfolded = new Set(); // cards that were unfolded on a phone

const one = (selector) => element.querySelector(selector);
const segment = (key) => one(`.seg[data-seg="${CSS.escape(key)}"]`);
const card = (step) => one(`.card.s${step}`);
const menus = () => [...element.querySelectorAll("details.more[open]")];
const close = () => { open = ""; menus().forEach((menu) => { menu.open = false; }); };
const focus = (target) => { placing = true; target?.focus({ preventScroll: true }); placing = false; };
const send = (act, data, from) => {
  wanted = { act, ...data, ...from, until: Date.now() + SOON };
  trigger("click", { act, ...data });
};

const unwrite = () => {
  element.querySelectorAll(".writer-box").forEach((box) => box.remove());
  element.querySelectorAll(".writing").forEach((box) => box.classList.remove("writing"));
};
const settle = (keep) => {
  const { key, step, before, value } = draft, text = value.trim();
  draft = null;
  unwrite();
  const to = key ? segment(key) : card(step)?.querySelector(".add");
  if (keep && text && text !== before) {
    const said = key && segment(key)?.querySelector(".said");
    if (said) said.textContent = text; // at once; the server's answer follows
    send(key ? "rewrite" : "add", key ? { key, text } : { step, text });
  }
  focus(to);
};
const write = () => {
  const home = draft.key ? segment(draft.key) : card(draft.step)?.querySelector(".body"), words = one(".steer-bar");
  if (!home || !words) { draft = null; return; }
  unwrite();
  const box = document.createElement("div"), area = document.createElement("textarea"), keys = document.createElement("p");
  box.className = "writer-box";
  keys.className = "fine";
  keys.textContent = matchMedia("(hover: none)").matches ? words.dataset.touch : words.dataset.keys;
  area.maxLength = 500;
  area.rows = 1;
  area.value = draft.value;
  area.setAttribute("aria-label", draft.key ? `${words.dataset.rewrite}: ${draft.before}` : words.getAttribute(`data-add-${draft.step}`));
  const fit = () => { area.style.height = "auto"; area.style.height = `${area.scrollHeight + 2}px`; };
  area.addEventListener("input", () => { draft.value = area.value; fit(); });
  area.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Enter") { event.preventDefault(); settle(true); }
    if (event.key === "Escape") { event.preventDefault(); settle(false); }
  });
  // a redraw takes the box away, and another window only the attention: neither means that the writing is over
  area.addEventListener("blur", () => setTimeout(() => {
    if (draft && area.isConnected && document.activeElement !== area) settle(true);
  }));
  box.append(area, keys);
  home.append(box);
  home.classList.add("writing");
  fit();
  focus(area);
  area.setSelectionRange(area.value.length, area.value.length);
  box.scrollIntoView({ block: "nearest" });
};

element.addEventListener("click", (event) => {
  const fold = event.target.closest(".fold");
  if (fold) unfolded.add(fold.closest(".card").className.match(/\bs(\d)/)[1]);
  const button = event.target.closest("button[data-act]");
  if (!button || button.disabled) return;
  const { act, key, step, weight } = button.dataset;
  close();
  if (act === "rewrite") {
    const text = segment(key)?.dataset.text ?? "";
    draft = { key, value: text, before: text };
    write();
  } else if (act === "add") {
    draft = { step, value: "", before: "" };
    write();
  } else {
    send(act, key ? (weight ? { key, weight } : { key }) : {}, { menu: button.closest(".menu") !== null });
  }
});
element.addEventListener("toggle", (event) => {
  const menu = event.target, key = menu.closest(".seg")?.dataset.seg || "";
  if (!menu.matches("details.more")) return;
  if (!menu.open) { if (open === key) open = ""; return; }
  menus().forEach((other) => { if (other !== menu) other.open = false; });
  open = key;
  menu.querySelector(".menu").scrollIntoView({ block: "nearest" });
}, true);
const again = (target) => { // → a function that finds the same control after a redraw
  const key = target.closest(".seg")?.dataset.seg, step = target.closest(".card")?.className.match(/\bs(\d)/)?.[1];
  const { act, weight } = target.dataset;
  const own = target.matches(".strike") ? ".strike" : act ? `[data-act="${act}"]${weight ? `[data-weight="${weight}"]` : ""}` : target.localName;
  return () => {
    const home = key ? segment(key) : step ? card(step) : one(".steer-bar");
    return target.matches(".seg") ? home : home?.querySelector(own);
  };
};
element.addEventListener("focusin", (event) => {
  if (placing) return;
  wanted = null;
  held = event.target.matches(".seg, summary, button") ? again(event.target) : null;
});
element.addEventListener("focusout", (event) => { if (event.relatedTarget) held = null; });
element.addEventListener("keydown", (event) => {
  wanted = null;
  const menu = event.key === "Escape" && event.target.closest("details.more[open]");
  if (menu) { close(); menu.querySelector("summary").focus(); }
});
document.addEventListener("pointerdown", (event) => {
  wanted = held = null;
  if (element.isConnected && !event.target.closest?.("#reasoning details.more[open]")) close();
});

const target = () => {
  if (wanted.key) {
    const row = segment(wanted.key);
    const button = row?.querySelector(wanted.menu || wanted.act === "weigh" ? "summary" : ".strike");
    return wanted.act !== "rewrite" && button?.offsetParent ? button : row;
  }
  if (wanted.step) return card(wanted.step)?.querySelector(".body .seg:last-of-type");
  return one(`.steer-bar [data-act="${wanted.act}"]:not([disabled])`) || one(".steer-bar button:not([disabled])");
};
watch("value", () => {
  // Gradio loses the first part of an answer when the stream of the one before is just being closed, and then empties
  // what the later parts were to change. This panel is never empty otherwise.
  if (!element.textContent.trim()) {
    setTimeout(() => { if (!element.textContent.trim()) trigger("click", { act: "show" }); }, 100);
    return;
  }
  if (one(".cards[aria-busy=true], .cards:not(.folded)")) { unfolded.clear(); draft = null; open = ""; unwrite(); }
  unfolded.forEach((step) => {
    card(step)?.classList.add("unfolded");
    card(step)?.querySelector(".fold")?.setAttribute("aria-expanded", "true");
  });
  if (open) { const menu = segment(open)?.querySelector("details.more"); if (menu) menu.open = true; }
  if (draft) { write(); return; }
  unwrite();
  const active = document.activeElement, free = !active || active === document.body;
  if (wanted && Date.now() < wanted.until) {
    if (free || element.contains(active)) focus(target());
  } else if (free && held) focus(held());
});
