/** Measures the contrast between the filled and the empty part of a bar at 42 % on the screen. */
export async function contrastOfBar(page, name) {
  const picture = await page.locator(`[id="${name}"] .progress-polling-track`).screenshot();
  return page.evaluate(contrastIn, { picture: picture.toString('base64') });
}

/**
 * Measures the contrast between both ends of a bar in a picture. Runs in a page.
 *
 * @param {object} given
 * @param {string} given.picture a PNG in base64
 * @param {{ x: number, y: number, width: number, height: number }} [given.bar] where the bar is, if
 *   the picture shows the whole window
 */
export async function contrastIn({ picture, bar }) {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), {
    width: image.width,
    height: image.height,
  });
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const { x, y, width, height } = bar ?? { x: 0, y: 0, width: image.width, height: image.height };
  const scale = bar ? image.width / innerWidth : 1;
  const luminance = (part) => {
    const pixel = context.getImageData(
      Math.floor(scale * (x + width * part)),
      Math.floor(scale * (y + height / 2)),
      1,
      1,
    ).data;
    const linear = [...pixel].map((value) =>
      value / 255 <= 0.04 ? value / 3295 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const [dark, light] = [luminance(0.2), luminance(0.8)].sort((one, other) => one - other);
  return (light + 0.05) / (dark + 0.05);
}
