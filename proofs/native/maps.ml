(* Layers of numbers: what each number is made of, and how the run makes it. As checking/maps/images.py and layers.py. Trusted. *)
open Json
open Checker

(* a float is m * 2^e, exactly; without the mantissa's trailing zeros *)
let exact name f =
  if not (Float.is_finite f) then refuse (name ^ ": got NaN or inf, expected finite numbers");
  let fraction, exponent = Float.frexp f in
  let m = Big.Whole.of_float (Float.ldexp fraction 53) in
  if Big.Whole.sign m = 0 then { fnum = Big.Whole.zero; fexp = Big.Whole.zero }
  else
    let zeros = Big.Whole.trailing_zeros m in
    { fnum = Big.Whole.shift_right m zeros; fexp = Big.Whole.of_int (exponent - 53 + zeros) }

(* a number: an input (layer -1) or a spike, or made of numbers *)
type number = { id : int; made : made }
and made = Source of int * int | Step of how * d * (d * number) list
type signal = { numbers : number array; sizes : int list }

let last_id = ref 0
let number made = incr last_id; { id = !last_id; made }
let sources layer sizes = { numbers = Array.init (Tensors.product sizes) (fun i -> number (Source (layer, i))); sizes }
let zero = { fnum = Big.Whole.zero; fexp = Big.Whole.zero }
let one = { fnum = Big.Whole.one; fexp = Big.Whole.zero }

let flat = Tensors.product

let taken tensors name =
  match Hashtbl.find_opt tensors name with
  | None -> refuse ("lacks the tensor " ^ short name)
  | Some t -> Hashtbl.remove tensors name; t
let floats content tensors name shape =
  let t = taken tensors name in
  if t.Tensors.kind <> "float32" then refuse (Printf.sprintf "no rule for %s of type %s: what is proven is about float32" (short name) t.kind);
  let name = short name in
  if t.shape <> shape then refuse (name ^ ": has another shape than it says");
  Array.init (flat shape) (fun i -> exact name (Tensors.float32 content t i))

let affine content tensors name layer shape =
  let weight = floats content tensors (name ^ ".weight") shape and outputs = List.hd shape in
  let bias = match field "bias" layer with
    | Bool true -> floats content tensors (name ^ ".bias") [ outputs ]
    | Bool false -> Array.make outputs { fnum = Big.Whole.zero; fexp = Big.Whole.zero }
    | _ -> refuse "bias: expected true or false" in
  (weight, bias)

let step how bias parts = number (Step (how, bias, parts))

let linear content tensors name layer { numbers; sizes } =
  known "a Linear" [ "type"; "in_features"; "out_features"; "bias" ] layer;
  let inputs = whole "in_features" (field "in_features" layer) and outputs = whole "out_features" (field "out_features" layer) in
  if sizes <> [ inputs ] || outputs < 1 then refuse (name ^ ": does not fit its inputs");
  let weight, bias = affine content tensors name layer [ outputs; inputs ] in
  { numbers = Array.init outputs (fun r -> step Products bias.(r) (List.init inputs (fun c -> (weight.(r * inputs + c), numbers.(c))))); sizes = [ outputs ] }

(* ---- images: channels, height, width --------------------------------------------------------------------------------------------- *)
let most_products = 1 lsl 24
let range n = List.init n Fun.id
let pair name least layer =
  let of_one value = let n = whole name value in if least <= n && n <= 1 lsl 15 then n else refuse (name ^ ": is out of its range") in
  match field name layer with
  | List [ a; b ] -> (of_one a, of_one b)
  | List _ -> refuse (name ^ ": expected two whole numbers")
  | one -> let n = of_one one in (n, n)
let image name = function { sizes = [ c; h; w ]; numbers } -> (numbers, c, h, w) | _ -> refuse (name ^ ": does not fit its inputs")
(* how many windows fit along an axis *)
let windows size kernel stride dilation =
  let n = size - dilation * (kernel - 1) - 1 in
  if n < 0 then refuse "a window is larger than its image" else n / stride + 1
let limited sizes = if Tensors.product sizes > most_products then refuse "is too large: a layer has more than 2^24 products"
let over channels rows columns f =
  let size = rows * columns in
  { numbers = Array.init (channels * size) (fun i -> f (i / size) (i mod size / columns) (i mod columns)); sizes = [ channels; rows; columns ] }
let both f g = List.concat_map (fun i -> List.concat_map (fun j -> match i, j with Some i, Some j -> [ (i, j) ] | _ -> []) g) f

(* which entry of an axis stands at a place of the padded one: none where zeros do *)
let padded mode size before behind =
  let room = match mode with "reflect" -> size - 1 | "circular" -> size | _ -> max_int in
  if max before behind > room then refuse "a padding is larger than its image";
  fun i -> match mode with
    | "zeros" -> if 0 <= i && i < size then Some i else None
    | "replicate" -> Some (max 0 (min (size - 1) i))
    | "reflect" -> let i = abs i in Some (if i < size then i else 2 * (size - 1) - i)
    | "circular" -> Some ((i + size) mod size)
    | other -> refuse ("no rule for a padding of " ^ short other)

(* y[o, r, q] = b[o] + sum of W[o, c, i, j] * x[group's c, r * stride + i * dilation - padding, the same of q and j] *)
let convolution content tensors name layer signal =
  known "a Conv2d" [ "type"; "in_channels"; "out_channels"; "kernel_size"; "stride"; "padding"; "dilation"; "groups"; "bias"; "padding_mode" ] layer;
  let numbers, channels, height, width = image name signal in
  let count key = let n = whole key (field key layer) in if n < 1 then refuse (key ^ ": is out of its range") else n in
  let outputs = count "out_channels" and groups = count "groups" in
  let kh, kw = pair "kernel_size" 1 layer and sh, sw = pair "stride" 1 layer and dh, dw = pair "dilation" 1 layer in
  let (top, bottom), (first, final) = match field "padding" layer with
    | Text "valid" -> ((0, 0), (0, 0))
    | Text "same" -> let halves n = (n / 2, n - n / 2) in (halves (dh * (kh - 1)), halves (dw * (kw - 1)))
    | _ -> let h, w = pair "padding" 0 layer in ((h, h), (w, w)) in
  if count "in_channels" <> channels || channels mod groups <> 0 || outputs mod groups <> 0 then refuse (name ^ ": does not fit its inputs");
  let each = channels / groups and mode = text "padding_mode" layer in
  let rows = windows (height + top + bottom) kh sh dh and columns = windows (width + first + final) kw sw dw in
  limited [ outputs; rows; columns; each; kh; kw ];
  let weight, bias = affine content tensors name layer [ outputs; each; kh; kw ] in
  let down = padded mode height top bottom and right = padded mode width first final in
  let at f stride dilation before place i = Option.map (fun y -> (i, y)) (f (place * stride + i * dilation - before)) in
  (* of each window the places in its kernel and in the image, last first *)
  let pixels = Array.init (rows * columns) (fun p ->
    let found = both (List.map (at down sh dh top (p / columns)) (range kh)) (List.map (at right sw dw first (p mod columns)) (range kw)) in
    List.rev_map (fun ((i, y), (j, x)) -> (i * kw + j, y * width + x)) found) in
  over outputs rows columns (fun o r q ->
    let start = o / (outputs / groups) * each in
    let rec terms c found =
      if c < 0 then found
      else
        let own = (o * each + c) * kh * kw and image = (start + c) * height * width in
        terms (c - 1) (List.fold_left (fun found (k, pixel) -> (weight.(own + k), numbers.(image + pixel)) :: found) found pixels.(r * columns + q)) in
    step Products bias.(o) (terms (each - 1) []))

(* 1/n, rounded down where it is no dyadic number *)
let inverse n =
  let rec bits n = if n = 0 then 0 else 1 + bits (n / 2) in
  let shift = if n land (n - 1) = 0 then bits n - 1 else 100 + bits n in
  { fnum = Big.Whole.(fdiv (shift_left one shift) (of_int n)); fexp = Big.Whole.of_int (-shift) }

(* the mean of each window; padding counts as entries of 0 where `count_include_pad`, what ceil_mode reaches behind it never *)
let pool name layer signal =
  known "an AvgPool2d" [ "type"; "kernel_size"; "stride"; "padding"; "ceil_mode"; "count_include_pad" ] layer;
  let flag key = match field key layer with Bool b -> b | _ -> refuse (key ^ ": expected true or false") in
  let numbers, channels, height, width = image name signal in
  let ceil = flag "ceil_mode" and counted = flag "count_include_pad" in
  let (kh, kw), (sh, sw), (ph, pw) = (pair "kernel_size" 1 layer, pair "stride" 1 layer, pair "padding" 0 layer) in
  if 2 * ph > kh || 2 * pw > kw then refuse (name ^ ": is a pool that is not known");
  let places size kernel stride side =
    let full = size + 2 * side in
    if not ceil then windows full kernel stride 1
    else
      let n = (max 0 (full - kernel) + stride - 1) / stride + 1 in
      if (n - 1) * stride >= full - side then n - 1 else n in
  let rows = places height kh sh ph and columns = places width kw sw pw in
  if rows < 1 || columns < 1 then refuse "a window is larger than its image";
  limited [ channels; rows; columns; kh; kw ];
  (* of a window's entries along an axis: those inside, and how many count *)
  let entries place size kernel stride side =
    let all = List.filter (fun i -> i < size + side) (List.map (fun i -> place * stride + i - side) (range kernel)) in
    let inside = List.filter (fun i -> 0 <= i && i < size) all in
    (inside, List.length (if counted then all else inside)) in
  over channels rows columns (fun c r q ->
    let ys, m = entries r height kh sh ph and xs, n = entries q width kw sw pw in
    if m * n = 0 then refuse "a pool has a window without pixels";
    let share = inverse (m * n) in
    step (Average (m * n)) zero (List.concat_map (fun y -> List.map (fun x -> (share, numbers.((c * height + y) * width + x))) xs) ys))

(* the windows of a max pool along one axis or two: which numbers each one looks at *)
let max_pool name layer { numbers; sizes } =
  known "a max pool" [ "type"; "kernel_size"; "stride"; "padding"; "dilation"; "ceil_mode" ] layer;
  let flat = text "type" layer = "MaxPool1d" in
  let two key least one = if flat then (match field key layer with List _ -> refuse (key ^ ": expected a whole number") | _ -> (one, snd (pair key least layer))) else pair key least layer in
  let (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (two "kernel_size" 1 1, two "stride" 1 1, two "padding" 0 0, two "dilation" 1 1) in
  let ceil = match field "ceil_mode" layer with Bool b -> b | _ -> refuse "ceil_mode: expected true or false" in
  let before, height, width = match flat, sizes with
    | false, [ h; w ] -> ([], h, w) | false, [ c; h; w ] -> ([ c ], h, w) | true, [ w ] -> ([], 1, w) | true, [ c; w ] -> ([ c ], 1, w)
    | _ -> refuse (name ^ ": does not fit its inputs") in
  let places size kernel stride side dilation =
    let reach = (dilation * (kernel - 1)) + 1 in
    if 2 * side > reach then refuse (name ^ ": is a pool that is not known");
    if not ceil then windows (size + (2 * side)) kernel stride dilation
    else
      let n = (max 0 (size + (2 * side) - reach) + stride - 1) / stride + 1 in
      if (n - 1) * stride >= size + side then n - 1 else n in
  let rows = places height kh sh ph dh and columns = places width kw sw pw dw in
  if rows < 1 || columns < 1 then refuse "a window is larger than its image";
  limited (before @ [ rows; columns; kh; kw ]);
  let entries place size kernel stride side dilation =
    List.filter (fun i -> 0 <= i && i < size) (List.map (fun i -> (place * stride) + (i * dilation) - side) (range kernel)) in
  let made = over (Tensors.product before) rows columns (fun c r q ->
    let window = List.concat_map (fun y -> List.map (fun x -> numbers.((c * height + y) * width + x)) (entries q width kw sw pw dw)) (entries r height kh sh ph dh) in
    if window = [] then refuse "a max pool has a window without pixels";
    List.iter (fun n -> match n.made with Source (layer, _) when layer >= 0 -> () | _ -> refuse "no rule for a max pool of other numbers than spikes") window;
    step Products zero (List.map (fun n -> (one, n)) window)) in
  { made with sizes = before @ (if flat then [ columns ] else [ rows; columns ]) }

(* ---- batch norms, and a normalisation of images: s * x + (b - s * mean) of each channel, s = w / sqrt(var + eps) -------------------------------------------------- *)
let scaled_to e d = Big.Whole.(shift_left d.fnum (to_int (sub d.fexp e)))
let plus a b = let e = if Big.Whole.leq a.fexp b.fexp then a.fexp else b.fexp in { fnum = Big.Whole.add (scaled_to e a) (scaled_to e b); fexp = e }
let product a b = { fnum = Big.Whole.mul a.fnum b.fnum; fexp = Big.Whole.add a.fexp b.fexp }
let negative a = { a with fnum = Big.Whole.neg a.fnum }
let modulus a = { a with fnum = Big.Whole.abs a.fnum }
let power e = { fnum = Big.Whole.one; fexp = Big.Whole.of_int e }
let below a b = Big.Whole.sign (plus b (negative a)).fnum > 0
(* 1/sqrt(v) to a relative 2^-99, rounded down, for v from 2^-18 to 2^20 *)
let inverse_root v =
  if below v (power (-18)) || below (power 20) v then refuse "no rule for a batch norm with such a variance";
  let bits = 131 in
  let shifted = 2 * bits - Big.Whole.to_int v.fexp in
  { fnum = Big.Whole.(sqrt (fdiv (shift_left one shifted) v.fnum)); fexp = Big.Whole.of_int (-bits) }
(* numbers that neither underflow nor overflow on the way: 0 or from 2^-126 on, at most 2^10 *)
let usual d = if (Big.Whole.sign d.fnum <> 0 && below (modulus d) (power (-126))) || below (power 10) (modulus d) then refuse "no rule for a batch norm of such numbers"
(* what all that underflows may come to: 16 * tiny * (2^30 + 2 + four numbers of at most 2^19), and the bias's 2^-150 *)
let norm_floor = power (-91)

let norm content tensors name layer signal =
  let plain = text "type" layer = "Normalize" in
  known "a batch norm" (if plain then [ "type"; "channels" ] else [ "type"; "num_features"; "eps"; "momentum"; "affine" ]) layer;
  let size = if plain then "channels" else "num_features" in
  let count = whole size (field size layer) in
  (match text "type" layer, signal.sizes with
   | ("BatchNorm2d" | "Normalize"), [ c; _; _ ] | "BatchNorm1d", ([ c ] | [ c; _ ]) when c = count -> ()
   | _ -> refuse (name ^ ": does not fit its inputs"));
  let part key = floats content tensors (name ^ "." ^ key) [ count ] in
  let mean = part "running_mean" and variance = part "running_var" in
  let eps = if plain then zero else exact name (Json.number "eps" (field "eps" layer)) in
  Hashtbl.remove tensors (name ^ ".num_batches_tracked");
  let weight, bias = match (if plain then Bool false else field "affine" layer) with
    | Bool true -> let w = part "weight" in (w, part "bias")
    | Bool false -> (Array.make count one, Array.make count zero)
    | _ -> refuse "affine: expected true or false" in
  let channel c =
    if Big.Whole.sign variance.(c).fnum < 0 || Big.Whole.sign eps.fnum < 0 then refuse (name ^ ": has a variance or an eps outside its range");
    let scale = product weight.(c) (inverse_root (plus variance.(c) eps)) in
    List.iter usual [ mean.(c); weight.(c); bias.(c) ];
    if Big.Whole.sign scale.fnum <> 0 && below (modulus scale) (power (-126)) then refuse (name ^ ": has a factor that underflows");
    let shift = plus bias.(c) (negative (product scale mean.(c))) in
    (* the machine's norms have a bias *)
    let shift = if Big.Whole.sign shift.fnum = 0 then power (-150) else shift in
    (scale, shift, plus (modulus bias.(c)) (modulus (product scale mean.(c)))) in
  let channels = Array.init count channel and each = Array.length signal.numbers / max 1 count in
  let made i n = let scale, shift, base = channels.(i / each) in step (Scaled (base, norm_floor)) shift [ (scale, n) ] in
  { signal with numbers = Array.mapi made signal.numbers }

let joined a b =
  if a.sizes <> b.sizes then refuse "no rule for a residual sum of paths of different shapes";
  { a with numbers = Array.map2 (fun p q -> step Joined zero [ (one, p); (one, q) ]) a.numbers b.numbers }

let flatten layer signal =
  let shape = signal.sizes in
  known "a Flatten" [ "type"; "start_dim"; "end_dim" ] layer;
  let count = List.length shape + 1 in
  let dimension name = let d = whole name (field name layer) in if d < 0 then d + count else d in
  let first = dimension "start_dim" and final = dimension "end_dim" in
  if not (1 <= first && first <= final && final < count) then refuse "no rule for a Flatten that does not fit, or touches the batch";
  let part from til = List.filteri (fun i _ -> from <= i && i < til) shape in
  { signal with sizes = part 0 (first - 1) @ [ flat (part (first - 1) final) ] @ part final count }

let unflatten layer signal =
  let shape = signal.sizes in
  known "an Unflatten" [ "type"; "dim"; "unflattened_size" ] layer;
  let axis = whole "dim" (field "dim" layer) and sizes = List.map (whole "unflattened_size") (list "unflattened_size" (field "unflattened_size" layer)) in
  let fits = 1 <= axis && axis <= List.length shape && List.for_all (fun size -> 1 <= size) sizes in
  let count = if fits then List.nth shape (axis - 1) else 0 in
  let product = List.fold_left (fun product size -> if product > count || size > count then count + 1 else product * size) 1 sizes in
  if not fits || product <> count then refuse "no rule for an Unflatten that does not fit, or is told otherwise";
  let part from til = List.filteri (fun i _ -> from <= i && i < til) shape in
  { signal with sizes = part 0 (axis - 1) @ sizes @ part axis (List.length shape) }
