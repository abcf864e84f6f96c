// An image that is zoomed and moved: by wheel, by fingers, by keys, by buttons.

const MOST = 16;
const STEP = 1.3;
const MOVE = 60; // pixels a key press

export function zoomable(viewport, image) {
  let scale = 1, x = 0, y = 0;
  const fingers = new Map();

  function show() {
    const { clientWidth: width, clientHeight: height } = viewport;
    x = Math.min(0, Math.max(width * (1 - scale), x));
    y = Math.min(0, Math.max(height * (1 - scale), y));
    image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }

  // What lies under (atX, atY) stays there.
  function zoom(factor, atX = viewport.clientWidth / 2, atY = viewport.clientHeight / 2) {
    const next = Math.min(MOST, Math.max(1, scale * factor));
    x = atX - (atX - x) * next / scale;
    y = atY - (atY - y) * next / scale;
    scale = next;
    show();
  }

  function whole() {
    scale = 1;
    show();
  }

  function move(byX, byY) {
    x += byX;
    y += byY;
    show();
  }

  function place(event) {
    const box = viewport.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  viewport.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = place(event);
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, at.x, at.y);
  }, { passive: false });

  viewport.addEventListener("pointerdown", (event) => {
    viewport.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
  });
  viewport.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    if (fingers.size === 1) {
      move(now.x - before.x, now.y - before.y);
    } else if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const distance = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      zoom(distance(now) / distance(before), other.x, other.y);
    }
    fingers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    viewport.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  viewport.addEventListener("dblclick", (event) => {
    const at = place(event);
    if (scale > 1) whole(); else zoom(3, at.x, at.y);
  });

  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), "0": whole,
    ArrowLeft: () => move(MOVE, 0), ArrowRight: () => move(-MOVE, 0),
    ArrowUp: () => move(0, MOVE), ArrowDown: () => move(0, -MOVE),
  };
  new ResizeObserver(show).observe(viewport);
  // Arrows scroll the page where there is nothing to move.
  const takes = (key) => scale > 1 || !key.startsWith("Arrow");
  return { zoom, whole, keys, takes, step: STEP };
}
