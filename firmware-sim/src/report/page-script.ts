/**
 * Draws the plots of a page with uPlot from the JSON in the element `plots`; see plot-data.ts. Written for browsers:
 * it runs in the page, and gets text only as text on a canvas or as textContent.
 */
export const pageScript: string = `
(() => {
  'use strict';
  const plots = JSON.parse(document.getElementById('plots').textContent);
  const drawn = [];
  let colours;

  const colourOf = (name) => colours.getPropertyValue('--' + name).trim();
  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const two = (value) => String(value).padStart(2, '0');
    const hours = Math.floor(whole / 3600);
    const rest = two(whole % 60);
    return hours > 0 ? hours + ':' + two(Math.floor(whole / 60) % 60) + ':' + rest : Math.floor(whole / 60) + ':' + rest;
  };
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e9) return +(value / 1e9).toPrecision(3) + ' G';
    if (size >= 1e6) return +(value / 1e6).toPrecision(3) + ' M';
    if (size >= 1e4) return +(value / 1e3).toPrecision(3) + ' k';
    return String(+value.toPrecision(3));
  };
  const time = (ms) => (ms >= 1000 ? +(ms / 1000).toPrecision(3) + ' s' : +ms.toPrecision(3) + ' ms');
  const full = (plot, series, value) => {
    if (value == null) return '–';
    if (plot.unit === 'ms' && series.scale !== 'y2') return time(value);
    return Math.round(value * 100) / 100 === Math.round(value) ? Math.round(value).toLocaleString('en') : value.toFixed(2);
  };

  /** Stages as bands with their names on top, and the times without a broker. */
  const background = (plot) => (u) => {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    const place = (x) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, u.valToPos(x, 'x', true)));
    ctx.save();
    for (const [at, band] of plot.bands.entries()) {
      const left = place(band.from);
      const right = place(band.to);
      if (at % 2 === 0) {
        ctx.fillStyle = colourOf('band');
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
      }
    }
    for (const down of plot.downs) {
      const left = place(down.from);
      const right = Math.max(left + 2 * ratio, place(down.to));
      ctx.globalAlpha = 0.22;
      ctx.fillStyle = colourOf('down');
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.restore();
  };
  const labels = (plot) => (u) => {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.font = 11 * ratio + 'px system-ui, sans-serif';
    ctx.fillStyle = colourOf('soft');
    ctx.textBaseline = 'top';
    ctx.textAlign = 'left';
    for (const band of plot.bands) {
      const left = Math.max(bbox.left, u.valToPos(band.from, 'x', true));
      const right = Math.min(bbox.left + bbox.width, u.valToPos(band.to, 'x', true));
      if (ctx.measureText(band.name).width + 10 * ratio < right - left) {
        ctx.fillText(band.name, left + 5 * ratio, bbox.top + 4 * ratio);
      }
    }
    ctx.restore();
  };

  const wholes = [1, 2, 5].flatMap((digit) => Array.from({ length: 13 }, (_, power) => digit * 10 ** power)).sort((a, b) => a - b);
  const axis = (extra) => ({
    stroke: colourOf('soft'),
    grid: { stroke: colourOf('grid'), width: 1 },
    ticks: { stroke: colourOf('grid'), width: 1, size: 5 },
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    labelSize: 20,
    ...extra,
  });
  const seriesOf = (plot, series) => {
    const colour = colourOf(series.colour);
    return {
      label: series.label,
      scale: series.scale,
      stroke: colour,
      width: 1.75,
      dash: series.dash ? [6, 4] : undefined,
      fill: series.fill ? colour + '22' : undefined,
      spanGaps: false,
      points: { show: plot.kind === 'percentiles' || plot.x.length < 3, size: 6 },
      value: (u, value) => full(plot, series, value),
    };
  };
  const powersOfTen = (u, splits) => splits.map((value) => (Number.isInteger(+Math.log10(value).toFixed(6)) ? value : null));

  const optionsOf = (plot, width) => {
    const isTime = plot.kind === 'time';
    const axes = [
      axis({
        label: plot.xLabel,
        size: 32,
        labelGap: 0,
        ...(isTime
          ? { values: (u, splits) => splits.map(clock), incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600] }
          : { splits: () => plot.ticks.map((tick) => tick.at), values: () => plot.ticks.map((tick) => tick.name), space: 1 }),
      }),
      axis({
        scale: 'y',
        label: plot.yLabel,
        size: 58,
        values: (u, splits) => splits.map((value) => (value == null ? '' : plot.unit === 'ms' ? time(value) : short(value))),
        ...(plot.log ? { filter: powersOfTen } : { incrs: wholes }),
      }),
    ];
    const scales = {
      x: { time: false },
      y: plot.log ? { distr: 3, log: 10 } : { range: (u, low, high) => [0, high > 0 ? high * 1.12 : 1] },
    };
    if (plot.y2Label) {
      scales.y2 = { range: (u, low, high) => [0, high > 0 ? high * 1.12 : 1] };
      axes.push(
        axis({ scale: 'y2', side: 1, label: plot.y2Label, size: 50, grid: { show: false }, incrs: wholes,
          values: (u, splits) => splits.map((value) => (value == null ? '' : short(value))) }),
      );
    }
    return {
      width,
      height: 250,
      // Without a second axis its room stays free, so that all times stand one below the other.
      padding: [8, plot.y2Label ? 0 : isTime ? 70 : 30, 0, 0],
      cursor: { ...(isTime ? { sync: { key: 'time', setSeries: false } } : {}), y: false, drag: { x: isTime, y: false } },
      legend: { live: true },
      scales,
      axes,
      series: [
        { label: isTime ? 'Time' : 'Part', value: (u, x) => (x == null ? '–' : isTime ? clock(x) : nameOf(plot, x)) },
        ...plot.series.map((series) => seriesOf(plot, series)),
      ],
      hooks: isTime ? { drawAxes: [], drawClear: [background(plot)], draw: [labels(plot)] } : {},
    };
  };
  const nameOf = (plot, x) => (plot.ticks.find((tick) => tick.at === x) || { name: '–' }).name;

  const drawAll = (fixedWidth) => {
    colours = getComputedStyle(document.documentElement);
    for (const one of drawn.splice(0)) one.destroy();
    for (const plot of plots) {
      const place = document.getElementById(plot.id);
      if (place === null) continue;
      const width = fixedWidth || place.clientWidth;
      if (width < 50) continue;
      drawn.push(new uPlot(optionsOf(plot, width), [plot.x, ...plot.series.map((series) => series.values)], place));
    }
    document.documentElement.dataset.plots = String(drawn.length);
  };

  drawAll();
  let lastWidth = document.documentElement.clientWidth;
  addEventListener('resize', () => {
    if (document.documentElement.clientWidth === lastWidth) return;
    lastWidth = document.documentElement.clientWidth;
    drawAll();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawAll());
  // Paper is white and narrow.
  addEventListener('beforeprint', () => {
    document.documentElement.classList.add('printing');
    for (const details of document.querySelectorAll('details')) details.open = true;
    drawAll(640);
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printing');
    drawAll();
  });
})();
`;
