// The evaluation room: clicks on its charts, and charts as pictures. Plotly is the one that Gradio has loaded.
(() => {
  const box = (element) => element.closest(".room-fig");

  // Gradio draws a chart anew for each value, so every new one is wired.
  const wire = () => document.querySelectorAll("#room .js-plotly-plot:not([data-wired])").forEach((plot) => {
    if (typeof plot.on !== "function" || !plot.layout) return;
    plot.dataset.wired = "";
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", plot.layout.meta?.label || "");
    plot.on("plotly_click", (event) => {
      const row = event.points?.[0]?.customdata;
      const below = box(plot)?.querySelector(".room-below");
      if (row === undefined || row === null || !below) return;
      below.dispatchEvent(new CustomEvent("room-point", { detail: row, bubbles: true }));
    });
  });
  new MutationObserver(wire).observe(document.documentElement, { childList: true, subtree: true });

  // A picture says on white paper what the page says around the chart: its title and how it was measured.
  const picture = (plot) => {
    const { meta, margin, ...rest } = plot.layout;
    const height = meta.height; // Plotly drops the layout's own when it fits a chart to the page
    const lines = meta.note ? meta.note.split("<br>").length : 0;
    const above = 44, under = 18 * lines + 12, ink = "#1b2430";
    const inner = height - margin.t - margin.b, total = height + above + under;
    const note = { text: meta.note, xref: "paper", yref: "paper", x: 0, y: -(margin.b + under - 6) / inner,
      xshift: 12 - margin.l, xanchor: "left", yanchor: "bottom", align: "left", showarrow: false, font: { size: 12, color: ink } };
    const layout = { ...rest, autosize: false, width: 900, height: total, paper_bgcolor: "#ffffff",
      margin: { ...margin, t: margin.t + above, b: margin.b + under }, annotations: [...(rest.annotations || []), note],
      title: { text: meta.title, x: 12 / 900, xanchor: "left", y: 1 - 14 / total, yanchor: "top", font: { size: 18, color: ink } } };
    return { figure: { data: plot.data, layout, config: {} }, width: 900, height: total };
  };
  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("#room [data-save]");
    const plot = button && box(button)?.querySelector(".js-plotly-plot");
    if (!plot || !window.Plotly) return;
    const { figure, width, height } = picture(plot), format = button.dataset.save;
    const data = await window.Plotly.toImage(figure, { format, width, height, scale: format === "png" ? 2 : 1 });
    const url = URL.createObjectURL(await (await fetch(data)).blob());
    const link = document.createElement("a");
    link.href = url;
    link.download = `${button.closest(".room-below").dataset.file}.${format}`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
})();
