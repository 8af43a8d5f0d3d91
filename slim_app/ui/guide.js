// The guided start: which of its steps is done, and whether the visitor has closed it. Nothing leaves the browser.
(() => {
  const kept = () => { try { return localStorage.getItem("slim-guide"); } catch { return null; } };
  const keep = () => { try { localStorage.setItem("slim-guide", "closed"); } catch { /* storage may be off */ } };
  const order = ["run", "point", "change"];
  let done = 0;
  const strip = () => document.querySelector("#guide .guide");
  const draw = () => {
    const box = strip();
    if (!box) return;
    box.querySelectorAll("[data-step]").forEach((step, place) => {
      const state = place < done ? "done" : place === done ? "now" : "later";
      if (step.className !== state) step.className = state;
      if (state === "now") step.setAttribute("aria-current", "step"); else step.removeAttribute("aria-current");
    });
    box.classList.toggle("finished", done >= order.length);
  };
  const reach = (step) => {
    if (order.indexOf(step) !== done || !strip()) return;
    done += 1;
    if (done >= order.length) keep();
    draw();
  };
  const close = () => { document.querySelector("#guide")?.classList.add("closed"); keep(); };

  const inside = (event, selector) => event.target instanceof Element && event.target.closest(selector);
  const point = (event) => { if (inside(event, "#ranking .rec, #reasoning .seg")) reach("point"); };
  ["mouseover", "focusin", "click"].forEach((kind) => document.addEventListener(kind, point));
  document.addEventListener("click", (event) => { if (inside(event, "[data-guide=close]")) close(); });

  new MutationObserver(() => {
    const box = strip();
    if (!box) return;
    if (kept() && !done) document.querySelector("#guide").classList.add("closed");
    if (document.querySelector("#ranking a[download]")) reach("run");
    if (document.querySelector("#ranking .rec .delta")) reach("change");
    if (!box.querySelector(".now, .done")) draw();
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
