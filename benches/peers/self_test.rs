//! Is the arithmetic of the benchmark right? Run where cargo starts the benchmark as a test.

use crate::contest::order;
use crate::nginx::Served;
use crate::spread::Spread;

/// Panics when it is not.
pub fn run() {
    let odd = Spread::of([3.0, 1.0, 2.0]);
    assert_eq!(odd, Spread { median: 2.0, least: 1.0, most: 3.0 });
    assert_eq!(Spread::of([4.0, 1.0]).to_string(), "2.50 (1.00–4.00)");
    // One slow round is slow for both.
    assert_eq!(Spread::of_ratios(&[2.0, 20.0], &[1.0, 10.0]), Spread { median: 2.0, least: 2.0, most: 2.0 });
    // Everybody is first once, everybody runs once a round.
    assert_eq!(order(3, 0), [0, 1, 2]);
    assert_eq!(order(3, 4), [1, 2, 0]);
    let log = "206 1048576 7\n206 10 7\n200 5 9\n499 3 11\n";
    assert_eq!(Served::read(log), Served { requests: 4, bytes: 1_048_594, connections: 3 });
    println!("the arithmetic of the benchmark is right; `make bench` runs it");
}
