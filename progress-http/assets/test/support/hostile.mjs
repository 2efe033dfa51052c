/** The strictest policy under which the widget works. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const SHAPES = [
  '<script>RUN</script>',
  '<img src=x onerror="RUN">',
  '<svg onload="RUN"><animate onbegin="RUN">',
  '"><iframe srcdoc="<script>parent.RUN</script>">',
  "' onmouseover='RUN' style='position:fixed;inset:0",
  'javascript:RUN//',
  '</title></style></textarea><details open ontoggle="RUN">',
  '{{constructor.constructor("RUN")()}} ${RUN} {percent} {number}',
  '<math><mtext><table><mglyph><style><!--</style>' +
    '<img title="--&gt;&lt;img src=1 onerror=RUN&gt;">',
  '&lt;script&gt;RUN&lt;/script&gt; &amp; \u202e txt.exe \u2028 \ufeff',
  '<style>*{background:url("//evil.example/RUN")}</style>',
  '<base href="//evil.example/"><form action="RUN"><button autofocus onfocus="RUN">',
  '<progress-poller job-id="RUN" redirect-on-complete="javascript:RUN"></progress-poller>',
  ']]><a xlink:href="data:text/html,<script>RUN</script>">',
  '__proto__ constructor [object Object] RUN',
];

/** At least 150 hostile strings: each shape with eleven different scripts. */
export const hostile = SHAPES.flatMap((shape) =>
  [
    'window.ran.push(1)',
    'alert(1)',
    'top.ran.push(2)',
    'fetch("/ran")',
    'ran.push`3`',
    'eval("ran.push(4)")',
    'location="/ran"',
    'document.title="ran"',
    'import("/ran.js")',
    'new Function("ran.push(5)")()',
    'print()',
  ].map((code) => shape.replaceAll('RUN', code)),
);
